"""Registries: mmengine's scope rules hold, errors help, and slides need no torch."""

from __future__ import annotations

import subprocess
import sys
import traceback

import mmengine.registry
import pytest
from mmengine.registry import DefaultScope
from mmengine.registry import Registry as MMEngineRegistry

from gigakit import registry
from gigakit.core import catalogue as catalogue_module
from gigakit.core.errors import ComponentError, ConfigError
from gigakit.core.kinds import KINDS
from gigakit.registry import ATTENTIONS, BACKBONES, HOOKS, MASKINGS, OBJECTIVES, OPTIMIZERS, TILERS

ROOTS = [
    name for name, item in vars(mmengine.registry).items() if isinstance(item, MMEngineRegistry)
]


@pytest.mark.parametrize("name", ROOTS)
def test_every_mmengine_root_has_a_gigakit_child(name):
    root = getattr(mmengine.registry, name)
    child = root.children["gigakit"]
    assert isinstance(child, registry.Registry)
    assert (child.scope, child.parent) == ("gigakit", root)
    assert getattr(registry, child.kind.name) is child


def test_there_is_a_registry_of_every_kind():
    assert len(ROOTS) == 23
    for name, kind in KINDS.items():
        assert getattr(registry, name).kind is kind


@pytest.fixture
def scope():
    with DefaultScope.overwrite_default_scope("gigakit"):
        yield


@pytest.mark.usefixtures("scope")
def test_mmengine_finds_gigakits_components_from_its_roots():
    hook = mmengine.registry.HOOKS.build({"type": "OverviewPictureHook", "slides": 2})
    assert hook.slides == 2
    assert mmengine.registry.HOOKS.get("gigakit.OverviewPictureHook") is type(hook)


@pytest.mark.usefixtures("scope")
def test_mmengines_own_components_are_built_too():
    assert (
        type(mmengine.registry.HOOKS.build({"type": "IterTimerHook"})).__name__ == "IterTimerHook"
    )
    assert HOOKS.get("mmengine.EMAHook").__name__ == "EMAHook"
    assert OPTIMIZERS.get("AdamW").__module__ == "torch.optim.adamw"
    assert OBJECTIVES.get("torch.nn.GELU").__name__ == "GELU"


def test_optimizers_are_found_in_a_fresh_process():
    code = "from gigakit.registry import OPTIMIZERS as O; print(O.get('AdamW'), O.get('SGD'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AdamW" in run.stdout, run.stderr


def test_slides_registries_leave_torch_out():
    code = """
import sys
from pathlib import Path
from gigakit.core.kinds import KINDS
import gigakit.registry as registry
kinds = [registry.READERS, registry.SEGMENTERS, registry.TILERS, registry.MASKINGS]

@registry.TILERS.register_module()
class Probe:
    def __init__(self, *, side: int): self.side = side

assert registry.TILERS.get("Probe") is Probe
assert registry.TILERS.build({"type": "Probe"}, side=3).side == 3
from gigakit.core.catalogue import Catalogue
for kind in kinds[:3]:
    for name in Catalogue().components(kind.kind.name):
        kind.get(name)
    assert "nothing" not in kind
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_module_asked_for_is_imported():
    code = (
        "import sys; from gigakit.registry import ATTENTIONS; ATTENTIONS.get('FullAttention');"
        "sys.exit('gigakit.nn.attention.dilated' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_says_where_was_looked_and_what_is_near():
    with pytest.raises(ComponentError) as caught:
        ATTENTIONS.get("DilatedAttenton")
    text = str(caught.value)
    assert "'DilatedAttenton' is not a registered attention" in text
    assert "looked in gigakit.nn.attention" in text
    assert "did you mean 'DilatedAttention'?" in text
    assert "DilatedAttenton" not in ATTENTIONS
    assert "DilatedAttention" in ATTENTIONS


@pytest.mark.usefixtures("scope")
def test_mmengines_roots_give_the_same_error():
    with pytest.raises(ComponentError, match="did you mean 'EMAHook'"):
        mmengine.registry.HOOKS.build({"type": "EMAHok"})


@pytest.mark.parametrize("name", ["torch.nn.Gelu", "no_such_package.Thing"])
def test_an_unknown_path_is_unknown(name):
    with pytest.raises(ComponentError, match="is not a registered objective"):
        OBJECTIVES.get(name)


def test_a_component_of_another_kind_is_named():
    with pytest.raises(ComponentError, match="registered as attention"):
        TILERS.build({"type": "FullAttention"})


def test_constructor_errors_name_every_component_on_the_way():
    encoder = {
        "type": "LongNet",
        "input_dim": 4,
        "width": 16,
        "depth": 1,
        "heads": 2,
        "attention": {"type": "DilatedAttention", "segment_length": [4]},
    }
    with pytest.raises(ComponentError) as caught:
        BACKBONES.build(encoder)
    assert caught.value.where == "backbone LongNet > attention DilatedAttention"
    assert "segment_length" in str(caught.value)


def test_values_that_a_constructor_refuses_keep_their_own_error():
    with pytest.raises(ConfigError, match="ratio"):
        MASKINGS.build({"type": "RandomTokens", "ratio": 2.0})


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_errors_in_a_constructor_become_one_line(error):
    @TILERS.register_module(force=True)
    class RefusingTiler:
        def __init__(self):
            raise error("side is odd")

    with pytest.raises(ComponentError, match=r"tiler RefusingTiler: .*side is odd") as caught:
        TILERS.build({"type": "RefusingTiler"})
    assert isinstance(caught.value.__cause__, error)


def test_other_errors_keep_their_type_and_name_the_component():
    @TILERS.register_module(force=True)
    class BrokenTiler:
        def __init__(self):
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug") as caught:
        TILERS.build({"type": "BrokenTiler"})
    assert "while building tiler BrokenTiler" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cfg", [{}, {"side": 3}, {"type": None}])
def test_a_config_without_a_type_is_refused(cfg):
    with pytest.raises(ComponentError, match="needs a type"):
        TILERS.build(cfg)


def test_the_configs_arguments_win_over_further_ones():
    @TILERS.register_module(force=True)
    class SidedTiler:
        def __init__(self, *, side: int, depth: int):
            self.side, self.depth = side, depth

    tiler = TILERS.build({"type": "SidedTiler", "side": 5}, side=1, depth=2)
    assert (tiler.side, tiler.depth) == (5, 2)


def test_plugins_are_built_and_import_errors_have_their_cause(tmp_path, monkeypatch):
    header = "from gigakit.registry import TILERS\n"
    body = "@TILERS.register_module()\nclass {}:\n    pass\n"
    package = tmp_path / "built_plugin"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "good.py").write_text(header + body.format("GoodTiler"))
    (package / "bad.py").write_text("import not_installed\n" + header + body.format("BadTiler"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalogue_module, "plugins", lambda: [("mine", "built_plugin")])
    assert type(TILERS.build({"type": "GoodTiler"})).__name__ == "GoodTiler"
    with pytest.raises(ComponentError) as caught:
        TILERS.get("BadTiler")
    assert "No module named 'not_installed'" in str(caught.value)
    assert str(caught.value.where).endswith("bad.py:4")
    assert isinstance(caught.value.__cause__, ImportError)
