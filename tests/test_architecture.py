"""What a linter cannot see: heavy imports, the form of components, the size of files."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from gigakit import registry
from gigakit.core.catalogue import components
from gigakit.core.kinds import KINDS

OWN = [
    (kind.name, name) for kind in KINDS.values() for name in components(kind.name, *kind.packages)
]


@pytest.mark.parametrize(("kind", "name"), OWN)
def test_every_component_has_typed_keywords_and_a_docstring(kind, name):
    component = getattr(registry, kind).get(name)
    assert component.__name__ == name
    assert inspect.getdoc(component)
    injected = KINDS[kind].injected
    # a class without its own __init__ takes what mmengine's or object's takes
    own = inspect.isclass(component) and "__init__" not in vars(component)
    parameters = [] if own else inspect.signature(component).parameters.values()
    for parameter in parameters:
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, f"{name} takes **kwargs"
        assert parameter.annotation is not inspect.Parameter.empty, f"{name}.{parameter.name}"
        if parameter.name not in injected:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"{name}.{parameter.name}"


def test_there_are_components_of_every_stage():
    kinds = {kind for kind, _ in OWN}
    assert {"READERS", "TILERS", "ATTENTIONS", "BACKBONES", "DATASETS", "OBJECTIVES"} <= kinds


def test_files_stay_under_400_lines(repository):
    sizes = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("gigakit", "tools", "tests", "registry_configs")
        for path in (repository / folder).rglob("*.py")
    }
    assert sizes
    assert {path: size for path, size in sizes.items() if size > 400} == {}


def test_opencv_and_openslide_stay_out_of_networks():
    code = (
        "import sys, gigakit.nn.backbones.longnet, gigakit.nn.backbones.vit;"
        "sys.exit(bool({'cv2', 'openslide'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
