"""Plans as text: an expression that is read, never run, and the same as TOML.

    speculate(edge, fuse(host, edge, weights=[.7, .3], rows=64))

Python's parser makes a tree of it; of that only calls by name, names, numbers, strings, True, False, None and
lists of these are let through. What a name means is decided later: `renga.models.plans.build`.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from renga.errors import UsageError

DEEPEST = 8
MOST_NODES = 200
MOST_CHARACTERS = 10_000


@dataclass(frozen=True)
class Name:
    """A model, by name."""

    name: str


@dataclass(frozen=True)
class Call:
    """A strategy on operands and options; values are plain, Name, Call, or lists of these."""

    strategy: str
    operands: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> Iterator[Any]:
        """All that stands in the parentheses."""
        yield from self.operands
        yield from self.options.values()


Node = Name | Call


@dataclass(frozen=True)
class PlanText:
    """A plan as it was written, and what its names mean where the file says so."""

    root: Node
    models: Mapping[str, Any] = field(default_factory=dict)


def read_plan(text: str) -> PlanText:
    """A plan from an expression, or from the TOML file that `text` names. Raises UsageError."""
    if text.endswith(".toml") and "(" not in text:
        return _from_file(Path(text))
    return PlanText(parse(text))


def parse(text: str) -> Node:
    """The tree of an expression. Raises UsageError, saying where, for all that is no plan."""
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"a plan may have {MOST_CHARACTERS} characters, this one has {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = getattr(error, "offset", None)
        where = f" at character {column}" if column else ""
        raise UsageError(f"the plan can't be read{where}: {_said(error)}") from None
    nodes = sum(1 for _ in ast.walk(tree))
    if nodes > MOST_NODES:
        raise UsageError(f"the plan has {nodes} parts, more than {MOST_NODES}")
    node = _value(tree.body, 0)
    if not isinstance(node, Name | Call):
        raise UsageError("a plan is a model's name or a strategy, like fuse(edge, host)")
    return node


def written(node: Any) -> str:
    """A tree as text again; `parse` of it gives the same tree."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Call):
        options = [f"{name}={written(value)}" for name, value in node.options.items()]
        return f"{node.strategy}({', '.join([*map(written, node.operands), *options])})"
    if isinstance(node, list):
        return "[" + ", ".join(map(written, node)) + "]"
    return repr(node)


def _value(node: ast.expr, depth: int) -> Any:
    if depth > DEEPEST:
        raise UsageError(f"the plan is nested deeper than {DEEPEST} strategies")
    match node:
        case ast.Name(id=name):
            return Name(name)
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if type(value) in (int, float):
            return -value  # type: ignore[operator]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(element, depth) for element in elements]
        case ast.Call(func=ast.Name(id=name), args=operands, keywords=options):
            keys = [option.arg for option in options]
            if None in keys or any(isinstance(operand, ast.Starred) for operand in operands):
                raise UsageError(f"{_place(node)}: * and ** are not known in plans")
            if len(set(keys)) < len(keys):
                raise UsageError(f"{name}: an option is given twice")
            return Call(
                name,
                tuple(_value(operand, depth + 1) for operand in operands),
                {str(option.arg): _value(option.value, depth + 1) for option in options},
            )
    raise UsageError(
        f"{_place(node)}: {ast.unparse(node)[:40]!r} has no place in a plan",
        hint="a plan is made of names, calls, numbers, strings and lists",
    )


def _from_file(path: Path) -> PlanText:
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    if strange := sorted(set(read) - {"plan", "models"}):
        raise UsageError(f"{path}: there is no {strange[0]!r} in a plan", hint="known: models, plan")
    if "plan" not in read:
        raise UsageError(f"{path} has no plan", hint='write plan = "fuse(edge, host)", or a table [plan]')
    models = read.get("models", {})
    if not isinstance(models, Mapping):
        raise UsageError(f"{path}: [models] is a table of names")
    node = parse(read["plan"]) if isinstance(read["plan"], str) else _from_table(read["plan"], 0)
    if not isinstance(node, Name | Call):
        raise UsageError(f"{path}: a plan is a name or a strategy")
    return PlanText(node, models)


def _from_table(value: Any, depth: int) -> Any:
    """strategy = "fuse", of = ["host", {strategy = …}], and options; in `of`, a string is a name."""
    if depth > DEEPEST:
        raise UsageError(f"the plan is nested deeper than {DEEPEST} strategies")
    if not isinstance(value, Mapping):
        return value
    if not isinstance(value.get("strategy"), str):
        raise UsageError('a table of a plan names its strategy: strategy = "fuse"')
    operands = value.get("of", [])
    if not isinstance(operands, list):
        raise UsageError(f'{value["strategy"]}: of = ["edge", "host"] lists the operands')
    return Call(
        value["strategy"],
        tuple(Name(o) if isinstance(o, str) else _from_table(o, depth + 1) for o in operands),
        {key: _from_table(v, depth + 1) for key, v in value.items() if key not in ("strategy", "of")},
    )


def _place(node: ast.expr) -> str:
    return f"character {node.col_offset + 1}"


def _said(error: BaseException) -> str:
    return getattr(error, "msg", None) or "it is nested too deep"
