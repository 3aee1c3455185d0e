"""Reading a file's declarations without importing it."""

from __future__ import annotations

import pytest

from gigakit.core.source import read_source


def _read(tmp_path, text, module="pkg.mod"):
    path = tmp_path / "mod.py"
    path.write_text(text, encoding="utf-8")
    return read_source(path, module)


def test_reads_arguments_defaults_and_annotations(tmp_path):
    source = _read(
        tmp_path,
        """
class A:
    def __init__(self, a, b: int = 1, *, c: "str | None" = None, d): ...
""",
    )
    signature = source.definitions["A"].signature
    found = [(arg.name, arg.annotation, arg.default, arg.required) for arg in signature.arguments]
    assert found == [
        ("a", None, None, True),
        ("b", "int", "1", False),
        ("c", "'str | None'", "None", False),
        ("d", None, None, True),
    ]
    assert signature.positional == 2
    assert not signature.open


def test_tells_forwarded_from_open_keywords(tmp_path):
    source = _read(
        tmp_path,
        """
class Forwards(Base):
    def __init__(self, optimizer, *args, **kwargs):
        super().__init__(optimizer, "lr", *args, scale=2, **kwargs)
class ByName(Base):
    def __init__(self, **kw):
        Base.__init__(self, 1, **kw)
class Open(Base):
    def __init__(self, **kwargs):
        super().__init__()
        self.kwargs = kwargs
""",
    )
    forwards = source.definitions["Forwards"].signature
    assert (forwards.forwards, forwards.supplied, forwards.supplied_positional) == (
        True,
        ("scale",),
        2,
    )
    assert source.definitions["ByName"].signature.supplied_positional == 1
    assert source.definitions["Open"].signature.open


def test_reads_registrations_of_every_form(tmp_path):
    source = _read(
        tmp_path,
        """
from x import Thing
@ATTENTIONS.register_module()
class A: ...
@ATTENTIONS.register_module(name=["B1", "B2"])
class B: ...
@FUNCTIONS.register_module("c")
def named(x): ...
WRAPPERS.register_module(module=Thing)
if True:
    @ATTENTIONS.register_module()
    class D: ...
""",
    )
    found = {name: item.registered for name, item in source.definitions.items()}
    assert found["A"] == (("ATTENTIONS", "A"),)
    assert found["B"] == (("ATTENTIONS", "B1"), ("ATTENTIONS", "B2"))
    assert found["named"] == (("FUNCTIONS", "c"),)
    assert found["D"] == (("ATTENTIONS", "D"),)
    assert source.registrations == (("WRAPPERS", "Thing", "Thing"),)


@pytest.mark.parametrize(
    ("line", "name", "origin"),
    [
        ("from .other import X", "X", "pkg.other.X"),
        ("from ..up import X as Y", "Y", "up.X"),
        ("import torch.nn as nn", "nn", "torch.nn"),
        ("import torch.nn", "torch", "torch"),
    ],
)
def test_resolves_imports(tmp_path, line, name, origin):
    assert _read(tmp_path, line).imports[name] == origin


def test_reads_dataclass_fields(tmp_path):
    source = _read(
        tmp_path,
        """
@dataclass(frozen=True)
class P:
    scale: float
    kind: ClassVar[str] = "p"
    shift: float = 0.0
""",
    )
    found = [(arg.name, arg.required) for arg in source.definitions["P"].signature.arguments]
    assert found == [("scale", True), ("shift", False)]
