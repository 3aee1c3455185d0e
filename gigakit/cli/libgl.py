"""One line of help where OpenCV's GUI build meets a server without libGL."""

from __future__ import annotations

import importlib.metadata


def explain_import_error(error: ImportError) -> str | None:
    """Return the fix for an OpenCV that cannot load a system library, or ``None`` for others.

    mmengine requires the distribution ``opencv-python`` by name, whose ``cv2`` links to libGL; the
    headless build has the same ``cv2`` without it, and replaces it file by file.
    """
    text = str(error)
    if not any(name in text for name in ("libGL", "libgthread", "libglib", "libSM", "libXext")):
        return None
    version = importlib.metadata.version("opencv-python")
    return (
        "pip uninstall -y opencv-python opencv-python-headless && "
        f"pip install --no-deps opencv-python-headless=={version}"
    )
