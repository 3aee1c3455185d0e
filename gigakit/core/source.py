"""What one Python file declares, read from its syntax tree and never by importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Definable = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Argument:
    """One argument of a class or function, as its source writes it."""

    name: str
    annotation: str | None = None
    default: str | None = None

    @property
    def required(self) -> bool:
        """No default is given."""
        return self.default is None


@dataclass(frozen=True)
class Signature:
    """The arguments of one ``__init__`` or function.

    Args:
        arguments: positional ones first, without ``self``.
        positional: how many of them can be given by position.
        forwards: ``**kwargs`` go to the next class's ``__init__``.
        open: ``**kwargs`` go somewhere that cannot be followed.
        supplied: names that the call of the next ``__init__`` gives itself.
        supplied_positional: how many arguments that call gives by position.
    """

    arguments: tuple[Argument, ...] = ()
    positional: int = 0
    forwards: bool = False
    open: bool = False
    supplied: tuple[str, ...] = ()
    supplied_positional: int = 0


@dataclass(frozen=True)
class Definition:
    """A class or function of a file.

    Args:
        registered: pairs of registry and registered name, from its decorators.
        signature: ``None`` for a class without an ``__init__`` of its own.
    """

    name: str
    line: int
    docstring: str = ""
    bases: tuple[str, ...] = ()
    registered: tuple[tuple[str, str], ...] = ()
    signature: Signature | None = None


@dataclass(frozen=True)
class Source:
    """What a file declares.

    Args:
        definitions: classes and functions by name.
        imports: dotted origin of each imported name.
        aliases: text of module-level assignments that annotations and defaults may name.
        registrations: registry, registered name and target of plain ``register_module`` calls.
    """

    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    registrations: tuple[tuple[str, str, str], ...] = ()


def read_source(path: Path, module: str) -> Source:
    """Read a file.

    Args:
        path: the file.
        module: its dotted name, to resolve relative imports.

    Raises:
        SyntaxError: the file is no Python.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    source = Source()
    registrations = []
    for node in _statements(tree.body):
        if isinstance(node, Definable):
            source.definitions[node.name] = _definition(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            source.imports.update(_imported(node, package))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.Subscript | ast.BinOp | ast.Tuple | ast.Constant):
                source.aliases[node.targets[0].id] = ast.unparse(node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            registrations += _registration(node.value)
    return Source(source.definitions, source.imports, source.aliases, tuple(registrations))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)
            yield from _statements(node.orelse)
        else:
            yield node


def _definition(node: Definable) -> Definition:
    if isinstance(node, ast.FunctionDef):
        bases: tuple[str, ...] = ()
        signature: Signature | None = _signature(node, skip_self=False)
    else:
        bases = tuple(text for base in node.bases if (text := _dotted(base)))
        signature = _class_signature(node)
    return Definition(
        name=node.name,
        line=node.lineno,
        docstring=ast.get_docstring(node) or "",
        bases=bases,
        registered=tuple(_registered(node)),
        signature=signature,
    )


def _class_signature(node: ast.ClassDef) -> Signature | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _signature(item, skip_self=True)
    if any((_dotted(_called(item)) or "").endswith("dataclass") for item in node.decorator_list):
        return _dataclass_signature(node)
    return None


def _dataclass_signature(node: ast.ClassDef) -> Signature:
    fields = [
        Argument(
            item.target.id,
            ast.unparse(item.annotation),
            ast.unparse(item.value) if item.value else None,
        )
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and "ClassVar" not in ast.unparse(item.annotation)
    ]
    return Signature(tuple(fields), positional=len(fields))


def _signature(node: ast.FunctionDef, *, skip_self: bool) -> Signature:
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    absent: list[ast.expr | None] = [None] * (len(positional) - len(spec.defaults))
    arguments = [
        _argument(arg, default)
        for arg, default in zip(positional, absent + list(spec.defaults), strict=True)
    ][int(skip_self) :]
    count = len(arguments)
    arguments += [
        _argument(arg, default)
        for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    ]
    if spec.kwarg is None:
        return Signature(tuple(arguments), count)
    call = _next_init(node, spec.kwarg.arg)
    if call is None:
        return Signature(tuple(arguments), count, open=True)
    by_super = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call)
    given = [arg for arg in call.args if not isinstance(arg, ast.Starred)]
    return Signature(
        tuple(arguments),
        count,
        forwards=True,
        supplied=tuple(keyword.arg for keyword in call.keywords if keyword.arg),
        supplied_positional=len(given) - (not by_super),
    )


def _argument(arg: ast.arg, default: ast.expr | None) -> Argument:
    return Argument(
        arg.arg,
        ast.unparse(arg.annotation) if arg.annotation else None,
        ast.unparse(default) if default else None,
    )


def _next_init(node: ast.FunctionDef, kwargs: str) -> ast.Call | None:
    """Find the call of a base's ``__init__`` that receives the ``**kwargs``."""
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "__init__"
            and any(k.arg is None and _dotted(k.value) == kwargs for k in call.keywords)
        ):
            return call
    return None


def _registered(node: Definable) -> Iterator[tuple[str, str]]:
    for decorator in node.decorator_list:
        registry = _registry_of(_called(decorator))
        if registry is None:
            continue
        names = _given_names(decorator) if isinstance(decorator, ast.Call) else []
        yield from ((registry, name) for name in names or [node.name])


def _registration(call: ast.Call) -> list[tuple[str, str, str]]:
    registry = _registry_of(call.func)
    targets = [_dotted(keyword.value) for keyword in call.keywords if keyword.arg == "module"]
    if registry is None or not targets or targets[0] is None:
        return []
    names = _given_names(call) or [targets[0].rpartition(".")[2]]
    return [(registry, name, targets[0]) for name in names]


def _registry_of(node: ast.expr) -> str | None:
    registry, _, method = (_dotted(node) or "").rpartition(".")
    return registry if method == "register_module" and registry else None


def _given_names(call: ast.Call) -> list[str]:
    given = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "name")]
    return [
        node.value
        for expression in given
        for node in ast.walk(expression)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
            for alias in node.names
        }
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1] if node.level else []
    origin = ".".join([*base, *([node.module] if node.module else [])])
    return {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Subscript):
        return _dotted(node.value)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value)
        return f"{head}.{node.attr}" if head else None
    return None
