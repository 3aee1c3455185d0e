"""The catalogue agrees with what importing everything would say."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import warnings

import pytest

from gigakit.core import catalogue as catalogue_module
from gigakit.core.catalogue import Catalogue, components, nearest, plugins, unknown_component
from gigakit.core.kinds import ARGUMENT_KINDS, KINDS, kind_by_label

INHERITED = [kind for kind in KINDS.values() if kind.inherited]


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue()


@pytest.mark.parametrize("kind", INHERITED, ids=lambda kind: kind.name)
def test_inherited_names_are_those_mmengine_registers(kind, catalogue):
    import mmengine.registry

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in (*kind.inherited, "mmengine.runner"):
            importlib.import_module(package)
    root = getattr(mmengine.registry, kind.root).module_dict
    # its strategies register what needs DeepSpeed and the like
    runtime = {
        name
        for name, item in root.items()
        if item.__module__.startswith(("mmengine.", "torch."))
        and not item.__module__.startswith("mmengine._strategy")
    }
    static = {n for n, c in catalogue.components(kind.name).items() if c.origin in kind.inherited}
    # torch's bare base class is none
    assert static == runtime - {"Optimizer"}


@pytest.mark.parametrize("kind", INHERITED, ids=lambda kind: kind.name)
def test_arguments_are_those_python_sees(kind, catalogue):
    """Every required argument is found; a closed component takes exactly what is listed."""
    import mmengine.registry

    root = getattr(mmengine.registry, kind.root).module_dict
    for name, component in catalogue.components(kind.name).items():
        if component.origin not in kind.inherited or name not in root:
            continue
        parameters = inspect.signature(root[name]).parameters.values()
        real = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        assert real <= {argument.name for argument in component.arguments}, name
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            assert not component.open, name
            assert real == {argument.name for argument in component.arguments}, name


def test_keywords_are_closed_by_the_bases(catalogue):
    """Only what forwards its keywords out of its own hierarchy stays open (five of mmengine's)."""
    schedules = catalogue.components("PARAM_SCHEDULERS").values()
    assert not any(component.open for component in schedules)
    linear = catalogue.find("LinearLR", ["PARAM_SCHEDULERS"])
    names = [argument.name for argument in linear.arguments]
    assert "start_factor" in names
    # LRSchedulerMixin gives it itself
    assert "param_name" not in names
    assert catalogue.find("EMAHook", ["HOOKS"]).open
    wrapper = catalogue.find("AmpOptimWrapper", ["OPTIM_WRAPPERS"])
    assert {"loss_scale", "optimizer", "clip_grad"} <= {a.name for a in wrapper.arguments}
    assert not wrapper.open


def test_a_component_says_where_it_is_and_what_for(catalogue, repository):
    component = catalogue.find("DilatedAttention", ["ATTENTIONS"])
    assert component.file == str(repository / "gigakit/nn/attention/dilated.py")
    assert component.origin == "gigakit"
    lines = (repository / "gigakit/nn/attention/dilated.py").read_text("utf-8").splitlines()
    assert lines[component.line - 1].startswith("class DilatedAttention")
    assert component.source.startswith("LongNet")
    assert component.summary
    assert {argument.name for argument in component.arguments} >= {"segment_lengths", "backend"}


def test_gigakits_own_shadow_mmengines(tmp_path, monkeypatch):
    package = tmp_path / "shadowing"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ema.py").write_text(
        "from gigakit.registry import HOOKS\n@HOOKS.register_module()\nclass EMAHook:\n"
        '    """Mine."""\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalogue_module, "plugins", lambda: [("mine", "shadowing")])
    component = Catalogue().find("EMAHook", ["HOOKS"])
    assert (component.origin, component.module) == ("mine", "shadowing.ema")


def test_an_entry_point_makes_a_plugin(tmp_path, monkeypatch):
    """A distribution's metadata is all it takes; nothing of it is imported."""
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gigakit.plugins]\nplug = plug_package\n")
    package = tmp_path / "plug_package" / "deep"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "tiler.py").write_text(
        "from gigakit.registry import TILERS\n@TILERS.register_module()\nclass HexTiler:\n"
        "    def __init__(self, *, side: int = 3): ...\n"
    )
    (package / "broken.py").write_text("class (:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ("plug", "plug_package") in plugins()
    component = Catalogue().find("HexTiler", ["TILERS"])
    assert (component.origin, component.module) == ("plug", "plug_package.deep.tiler")
    assert [argument.name for argument in component.arguments] == ["side"]


def test_an_argument_annotated_by_an_alias_is_spelled_out(tmp_path, monkeypatch):
    (tmp_path / "aliased.py").write_text(
        "from typing import Literal\nMode = Literal['a', 'b']\n"
        "@LOSSES.register_module()\nclass L:\n    def __init__(self, *, mode: Mode = 'a'): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (component,) = components("LOSSES", "aliased").values()
    assert component.arguments[0].annotation == "Literal['a', 'b']"


def test_unknown_names_say_where_was_looked_and_what_is_near(catalogue):
    text = str(unknown_component("DilatedAttenton", KINDS["ATTENTIONS"], catalogue))
    assert "gigakit.nn.attention" in text
    assert "did you mean 'DilatedAttention'?" in text
    assert "registered as attention" in str(
        unknown_component("FullAttention", KINDS["TILERS"], catalogue)
    )
    assert nearest("zzz", ["abc"]) is None


def test_reading_imports_neither_torch_nor_mmengine():
    code = (
        "import sys\nfrom gigakit.core.catalogue import Catalogue\n"
        "from gigakit.core.kinds import KINDS\nc = Catalogue()\n"
        "assert sum(len(c.components(kind)) for kind in KINDS) > 80\n"
        "sys.exit(bool({'torch', 'mmengine'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_argument_kinds_name_registries():
    assert {kind for kinds in ARGUMENT_KINDS.values() for kind in kinds} <= set(KINDS)


@pytest.mark.parametrize("label", ["attention", "attentions", "ATTENTIONS", "Attention"])
def test_kinds_are_found_in_any_spelling(label):
    assert kind_by_label(label).name == "ATTENTIONS"
    assert kind_by_label("attentoin") is None
