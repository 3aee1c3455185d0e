"""A config's own modules."""

from __future__ import annotations

import sys

import pytest

from gigakit.config import import_custom, load_config
from gigakit.core.errors import ComponentError
from gigakit.registry import MASKINGS


def test_files_and_modules_are_imported_once(write, tmp_path, monkeypatch):
    body = (
        "from gigakit.registry import MASKINGS\n@MASKINGS.register_module()\nclass {}:\n    pass\n"
    )
    write(body.format("FileMasking"), "file_masking.py")
    write(body.format("ModuleMasking"), "lib/custom_module.py")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    loaded = load_config(
        write("custom_imports = dict(imports=['file_masking.py', 'custom_module'])")
    )
    for _ in range(2):
        import_custom(loaded.values["custom_imports"], loaded.path)
    assert MASKINGS.build({"type": "FileMasking"}).__class__.__module__ in sys.modules
    assert "ModuleMasking" in MASKINGS


@pytest.mark.parametrize("name", ["absent.py", "absent_module", "failing.py"])
def test_what_cannot_be_imported_is_named(write, name):
    write("import not_there", "failing.py")
    path = write("a = 1")
    with pytest.raises(ComponentError, match=f"cannot import '{name}'"):
        import_custom({"imports": [name]}, path)
    # a second try fails in the same way
    with pytest.raises(ComponentError, match=name):
        import_custom({"imports": name}, path)


def test_a_config_without_imports_imports_nothing(write):
    before = set(sys.modules)
    import_custom(None, write("a = 1"))
    assert set(sys.modules) == before
