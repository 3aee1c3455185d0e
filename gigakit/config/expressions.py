"""The expressions of a config: literals, arithmetic, comprehensions and a few functions."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from gigakit.core.errors import ConfigError

FUNCTIONS = {
    function.__name__: function
    for function in (dict, list, tuple, range, len, min, max, int, float, str, sum, round, sorted)
}

_ALLOWED = (
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.Store,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Starred,
    ast.Subscript,
    ast.Slice,
    ast.UnaryOp,
    ast.unaryop,
    ast.BinOp,
    ast.operator,
    ast.BoolOp,
    ast.boolop,
    ast.Compare,
    ast.cmpop,
    ast.IfExp,
    ast.ListComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.comprehension,
    ast.JoinedStr,
    ast.FormattedValue,
    ast.Call,
    ast.keyword,
)
_INSTEAD = {
    ast.Attribute: "attributes and methods",
    ast.Lambda: "functions",
    ast.Set: "sets",
    ast.SetComp: "sets",
    ast.NamedExpr: "assignments inside an expression",
}


def evaluate(node: ast.expr, names: dict[str, Any], where: str) -> Any:
    """Return the value of an expression.

    Args:
        node: the expression.
        names: values of the names defined before it.
        where: file, for error messages; the line is added.

    Raises:
        ConfigError: it contains something that configs do not allow, or cannot be evaluated.
    """
    check_expression(node, where)
    code = compile(ast.Expression(node), filename=where, mode="eval")
    try:
        # only names, operators and the functions above can occur in the checked tree
        value = eval(code, {"__builtins__": {}, **FUNCTIONS, **names})
    except NameError as error:
        raise ConfigError(
            f"'{error.name}' is not defined in this file",
            where=f"{where}:{node.lineno}",
            fix="a base's names are not visible; define it here, or call one of "
            + ", ".join(FUNCTIONS),
        ) from error
    except _EVALUATION_ERRORS as error:
        raise ConfigError(
            f"{type(error).__name__}: {error}", where=f"{where}:{node.lineno}", fix="mend it"
        ) from error
    return value


# what names, operators and the functions above can raise
_EVALUATION_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def check_expression(node: ast.expr, where: str) -> None:
    """Refuse what configs do not allow.

    Raises:
        ConfigError: naming the line and the construct.
    """
    for part in ast.walk(node):
        line = getattr(part, "lineno", node.lineno)
        if not isinstance(part, _ALLOWED):
            found = _INSTEAD.get(type(part), type(part).__name__)
            raise ConfigError(
                f"a config holds plain values, no {found}",
                where=f"{where}:{line}",
                fix="write the value",
            )
        if isinstance(part, ast.Call) and not (
            isinstance(part.func, ast.Name) and part.func.id in FUNCTIONS
        ):
            raise ConfigError(
                f"'{ast.unparse(part.func)}(...)' is not allowed in a config",
                where=f"{where}:{line}",
                fix="allowed are " + ", ".join(FUNCTIONS),
            )


def check_plain(value: Any, where: str) -> None:
    """Refuse values that a config cannot hold, such as a ``range``.

    Raises:
        ConfigError: naming the value's type.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            check_plain(key, where)
            check_plain(item, where)
    elif isinstance(value, list | tuple):
        for item in value:
            check_plain(item, where)
    elif value is not None and not isinstance(value, str | int | float):
        raise ConfigError(
            f"a {type(value).__name__} is no config value", where=where, fix="wrap it in list(...)"
        )


def shown_path(path: Path) -> str:
    """Return a path as people write it: relative where it is below the current folder."""
    absolute = path.resolve()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
