"""Put the recipes inside the wheel, where an installed gigakit finds them by name."""

from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

RECIPES = "registry_configs"
HERE = Path(__file__).parent

setup(
    packages=[
        *find_packages(include=["gigakit", "gigakit.*"]),
        f"gigakit.{RECIPES}",
        *(f"gigakit.{RECIPES}.{name}" for name in find_namespace_packages(str(HERE / RECIPES))),
    ],
    package_dir={f"gigakit.{RECIPES}": RECIPES},
)
