"""Put the recipes and the tested versions inside the wheel, where an installed gigakit looks."""

import shutil
from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup
from setuptools.command.build_py import build_py

RECIPES = "registry_configs"
TESTED = "constraints.txt"
HERE = Path(__file__).parent


class BuildWithTestedVersions(build_py):
    """Copy the tested versions into the package; a source checkout has them beside it."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode and (HERE / TESTED).is_file():
            shutil.copy(HERE / TESTED, Path(self.build_lib) / "gigakit" / "assets" / TESTED)


setup(
    cmdclass={"build_py": BuildWithTestedVersions},
    packages=[
        *find_packages(include=["gigakit", "gigakit.*"]),
        f"gigakit.{RECIPES}",
        *(f"gigakit.{RECIPES}.{name}" for name in find_namespace_packages(str(HERE / RECIPES))),
    ],
    package_dir={f"gigakit.{RECIPES}": RECIPES},
)
