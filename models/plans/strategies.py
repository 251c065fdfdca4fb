"""The strategies that plans are made of: one table, and whatever other packages bring.

To add one of ours, add a line. A package of somebody else's adds one by an entry point of the group
`renga.strategies`, name = "module:function". What a strategy takes and gives stands in the function's own
signature: operands are parameters annotated LanguageModel, Responder, Drafter, Judge, Source or Detector
(or a union of these), everything else is an option, whose value is checked against its annotation.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import entry_points
from typing import Any, Literal

from renga.errors import RengaError, UsageError, did_you_mean

Kind = Literal["model", "responder", "drafter", "judge", "source", "detector"]

# name: (where, what it gives)
TABLE: dict[str, tuple[str, Kind]] = {
    "fuse": ("renga.models.ensemble.fuse:fuse", "model"),
    "bytewise": ("renga.models.ensemble.bytewise:bytewise", "model"),
    "apart": ("renga.models.apart:apart", "model"),
    "translate": ("renga.models.ensemble.translate:translate", "model"),
    "speculate": ("renga.models.cooperation.speculate:speculate", "model"),
    "lookup": ("renga.models.cooperation.drafters:lookup", "drafter"),
    "ngram": ("renga.models.cooperation.drafters:ngram", "drafter"),
    "either": ("renga.models.cooperation.drafters:either", "drafter"),
    "contrast": ("renga.models.cooperation.contrast:contrast", "model"),
    "view": ("renga.models.cooperation.layers:view", "model"),
    "dola": ("renga.models.cooperation.layers:dola", "model"),
    "steer": ("renga.models.cooperation.steer:steer", "model"),
    "offsets": ("renga.models.cooperation.steer:offsets", "model"),
    "dexperts": ("renga.models.cooperation.steer:dexperts", "model"),
    "guide": ("renga.models.cooperation.guide:guide", "model"),
    "gedi": ("renga.models.cooperation.guide:gedi", "model"),
    "conditioned": ("renga.models.cooperation.plan_words:conditioned", "model"),
    "search": ("renga.models.cooperation.plan_words:searching", "responder"),
    "soft": ("renga.models.cooperation.plan_words:soft", "model"),
    "compress": ("renga.models.cooperation.plan_words:compressed", "responder"),
    "retrieve": ("renga.models.cooperation.plan_words:retrieving", "responder"),
    "passages": ("renga.models.cooperation.plan_words:passages", "source"),
    "graph": ("renga.models.cooperation.plan_words:graph", "source"),
    "database": ("renga.models.cooperation.plan_words:database", "source"),
    "relay": ("renga.models.cooperation.plan_words:relay", "source"),
    "guard": ("renga.models.cooperation.plan_words:guarding", "responder"),
    "likelihood": ("renga.models.cooperation.plan_words:likelihood", "detector"),
    "selfcheck": ("renga.models.cooperation.plan_words:selfcheck", "detector"),
    "crosscheck": ("renga.models.cooperation.plan_words:crosscheck", "detector"),
    "exact": ("renga.models.cooperation.plan_words:exact", "detector"),
    "entailment": ("renga.models.cooperation.plan_words:entailment", "detector"),
    "facts": ("renga.models.cooperation.plan_words:facts", "detector"),
    "route": ("renga.models.ensemble.route:route", "model"),
    "select": ("renga.models.ensemble.selection:select", "responder"),
    "combine": ("renga.models.ensemble.selection:combine", "responder"),
    "cascade": ("renga.models.ensemble.cascade:cascade", "responder"),
    "loglik": ("renga.models.ensemble.judges:loglik", "judge"),
    "mbr": ("renga.models.ensemble.judges:mbr", "judge"),
    "reward": ("renga.models.ensemble.reward:reward", "judge"),
    "pairwise": ("renga.models.ensemble.judges:pairwise", "judge"),
    "ranked": ("renga.models.ensemble.ranking:ranked", "judge"),
    "scored": ("renga.models.ensemble.scorer:scored", "judge"),
}

# Those that say what one of their operands alone says; the operand's name.
LOSSLESS = {"speculate": "target"}

# Those that a server runs for a client that wrote them down: they read no file, and nothing on that machine.
PLACEABLE = frozenset(
    {
        *("fuse", "translate", "speculate", "lookup", "ngram", "either", "contrast"),
        *("select", "combine", "cascade", "loglik", "mbr", "pairwise"),
    }
)

KINDS: dict[str, Kind] = {
    "LanguageModel": "model",
    "Responder": "responder",
    "Drafter": "drafter",
    "Judge": "judge",
    "Source": "source",
    "Detector": "detector",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a strategy. kinds: what may stand there, if it is an operand; hint: an option's
    type."""

    name: str
    kinds: frozenset[Kind]
    hint: Any
    needed: bool
    many: bool  # *models
    positional: bool
    default: Any = None


@dataclass(frozen=True)
class Strategy:
    """A strategy by name, imported when it is looked at."""

    name: str
    where: str
    gives: Kind

    @cached_property
    def make(self) -> Callable[..., Any]:
        """The function. Raises RengaError if it can't be imported: it may be another package's."""
        module, _, attribute = self.where.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise RengaError(
                f"the strategy {self.name!r} can't be loaded from {self.where}: {error}"
            ) from error
        if not callable(found):
            raise RengaError(f"the strategy {self.name!r}, {self.where}, is not a function")
        return typing.cast("Callable[..., Any]", found)

    @property
    def lossless(self) -> str | None:
        """The operand that this says the words of, if it does."""
        return LOSSLESS.get(self.name)

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        text = inspect.getdoc(self.make) or ""
        return " ".join(text.split("\n\n")[0].split())

    @cached_property
    def parameters(self) -> list[Parameter]:
        """What it takes, in order."""
        try:
            hints = typing.get_type_hints(self.make, include_extras=True)
        except NameError:  # names that only a type checker imports
            hints = {}
        found = []
        for parameter in inspect.signature(self.make).parameters.values():
            written = str(parameter.annotation)
            kinds = frozenset(kind for word, kind in KINDS.items() if word in written)
            if "model" in kinds and "responder" in kinds:
                kinds -= {"model"}  # every model is a responder
            found.append(
                Parameter(
                    name=parameter.name,
                    kinds=kinds,
                    hint=hints.get(parameter.name, Any),
                    needed=parameter.default is parameter.empty
                    and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD),
                    many=parameter.kind is parameter.VAR_POSITIONAL,
                    positional=parameter.kind is not parameter.KEYWORD_ONLY,
                    default=None if parameter.default is parameter.empty else parameter.default,
                )
            )
        return found


@cache
def strategies() -> Mapping[str, Strategy]:
    """All strategies by name; ours can't be replaced."""
    found = {}
    for point in entry_points(group="renga.strategies"):
        found[point.name] = Strategy(point.name, point.value, "model")
    for name, (where, gives) in TABLE.items():
        found[name] = Strategy(name, where, gives)
    return found


def strategy(name: str) -> Strategy:
    """The strategy of that name. Raises UsageError that names the nearest."""
    known = strategies()
    if name not in known:
        raise UsageError(f"there is no strategy {name!r}", hint=did_you_mean(name, known))
    return known[name]


def gives(found: Strategy) -> Kind:
    """What it makes: as the table says, and for another package's as its annotation does."""
    if found.name in TABLE:
        return TABLE[found.name][1]
    written = str(inspect.signature(found.make).return_annotation)
    kinds = [kind for word, kind in KINDS.items() if word in written]
    return kinds[0] if kinds else "model"


def fits(given: Kind, wanted: frozenset[Kind]) -> bool:
    """Whether what is `given` may stand where `wanted` is: a model answers, and a model drafts."""
    ways: dict[Kind, set[Kind]] = {"model": {"model", "responder", "drafter", "judge"}}
    return bool(wanted & ways.get(given, {given}))
