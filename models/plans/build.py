"""From a plan's tree to the model, or responder, it stands for.

Checked first, whole: names, operands, options. Then the models are opened, each once, however often it is
named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from renga.errors import UsageError, did_you_mean
from renga.models.contract import LanguageModel, Responder
from renga.models.plans.language import Call, Name, Node, written
from renga.models.plans.strategies import Kind, Parameter, Strategy, fits, gives, strategy

Where = Literal["here", "server", "client"]


@dataclass(frozen=True)
class Leaf:
    """What a name stands for: a model that can be opened, and where it runs.

    where: "here", at the "server", or lent by another "client". size: tokens in its vocabulary, 0 if not
    known before it is opened; tokens: its vocabulary's fingerprint, likewise "". gives: a plan that the
    server has under a name is a responder.
    """

    name: str
    open: Callable[[], LanguageModel | Responder]
    where: Where = "here"
    what: str = ""
    size: int = 0
    tokens: Callable[[], str] = str
    gives: Kind = "model"


Names = Mapping[str, Leaf]


def checked(node: Node, names: Names) -> Kind:
    """What a plan gives. Raises UsageError for the first thing in it that can't be."""
    if isinstance(node, Name):
        return leaf(node, names).gives
    found = strategy(node.strategy)
    for parameter, value in bound(found, node):
        _check(found, parameter, value, names)
    return gives(found)


def build(node: Node, names: Names) -> Any:
    """The model or responder of a plan. Raises UsageError before any model is opened, if it can be known."""
    checked(node, names)
    opened: dict[str, LanguageModel | Responder] = {}

    def made(value: Any) -> Any:
        if isinstance(value, Name):
            if value.name not in opened:
                opened[value.name] = names[value.name].open()
            return opened[value.name]
        if isinstance(value, Call):
            return strategy(value.strategy).make(
                *map(made, value.operands), **{key: made(option) for key, option in value.options.items()}
            )
        return [made(each) for each in value] if isinstance(value, list) else value

    return made(node)


def leaf(name: Name, names: Names) -> Leaf:
    """What a name stands for. Raises UsageError that names the nearest."""
    if name.name not in names:
        raise UsageError(f"there is no model {name.name!r}", hint=did_you_mean(name.name, names))
    return names[name.name]


def bound(found: Strategy, node: Call) -> list[tuple[Parameter, Any]]:
    """Every value of a call with its parameter. Raises UsageError for what is too many, missing or
    unknown."""
    parameters = {parameter.name: parameter for parameter in found.parameters}
    positional = [parameter for parameter in found.parameters if parameter.positional]
    pairs: list[tuple[Parameter, Any]] = []
    left = list(node.operands)
    for parameter in positional:
        if parameter.many:
            pairs += [(parameter, value) for value in left]
            left = []
        elif left:
            pairs.append((parameter, left.pop(0)))
    if left:
        raise UsageError(f"{found.name} has no use for {written(left[0])}", hint=usage(found))
    for name, value in node.options.items():
        if name not in parameters or parameters[name].many:
            known = [parameter.name for parameter in found.parameters if not parameter.many]
            raise UsageError(f"{found.name} has no option {name!r}", hint=did_you_mean(name, known))
        if any(parameter.name == name for parameter, _ in pairs):
            raise UsageError(f"{found.name} is given {name} twice", hint=usage(found))
        pairs.append((parameters[name], value))
    given = {parameter.name for parameter, _ in pairs}
    for parameter in found.parameters:
        if (parameter.needed or (parameter.many and parameter.kinds)) and parameter.name not in given:
            raise UsageError(f"{found.name} needs {parameter.name}", hint=usage(found))
    return pairs


def usage(found: Strategy) -> str:
    """How a strategy is written."""
    parts = []
    for parameter in found.parameters:
        if parameter.kinds:
            parts.append(parameter.name + (", …" if parameter.many else ""))
        else:
            parts.append(parameter.name if parameter.needed else f"{parameter.name}={parameter.default!r}")
    return f"{found.name}({', '.join(parts)})"


def _check(found: Strategy, parameter: Parameter, value: Any, names: Names) -> None:
    if isinstance(value, list) and any(isinstance(each, Name | Call) for each in value):
        for each in value:
            _check(found, parameter, each, names)
        return
    if isinstance(value, Name | Call):
        given = checked(value, names)
        if not parameter.kinds:
            raise UsageError(f"{found.name}: {parameter.name} is not a model", hint=usage(found))
        if not fits(given, parameter.kinds):
            raise UsageError(
                f"{found.name} takes a {_either(parameter.kinds)} as {parameter.name}, "
                f"and {written(value)} is a {given}",
                hint="a responder gives whole answers: it can't be asked for one token"
                if given == "responder"
                else usage(found),
            )
        return
    if parameter.kinds and not _plain(parameter, value):
        raise UsageError(
            f"{found.name} takes a {_either(parameter.kinds)} as {parameter.name}, not {written(value)}",
            hint=usage(found),
        )
    _check_option(found, parameter, value)


def _plain(parameter: Parameter, value: Any) -> bool:
    """Whether an operand may be written as a plain value, too: a judge by name, or nothing."""
    return "judge" in parameter.kinds or (value is None and not parameter.needed)


def _check_option(found: Strategy, parameter: Parameter, value: Any) -> None:
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    if parameter.kinds or parameter.hint is Any:
        return
    try:
        adapter = TypeAdapter(parameter.hint, config=ConfigDict(arbitrary_types_allowed=True))
        adapter.validate_python(value)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return  # a type of the strategy's own: it checks it itself
    except ValidationError as error:
        said = error.errors()[0]["msg"].lower()
        raise UsageError(f"{found.name}: {parameter.name}={written(value)}: {said}") from None


def _either(kinds: frozenset[Kind]) -> str:
    return " or ".join(sorted(kinds))
