"""Plans that the server runs for clients: the operator's, by name, and those that clients write down.

The names in a plan are the host and whatever clients lend at that moment. What a client writes may use OPEN
strategies alone, none of which reads a file, and may not make one question a hundred: see `Bounds`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from renga.errors import UsageError, did_you_mean
from renga.models.composed import absences, total
from renga.models.contract import Answer, Full, LanguageModel, Piece, Prompt, Responder, Sampling, Want
from renga.models.generate import respond
from renga.models.metered import Metered
from renga.models.plans.build import Leaf, build, checked
from renga.models.plans.language import Call, Name, Node, parse
from renga.models.plans.report import placeable
from renga.models.plans.strategies import strategy
from renga.models.responders import respond_by
from renga.models.vocabulary import Vocabulary

HOST = "host"  # the plan that every server has

Models = Callable[[], Mapping[str, Callable[[], LanguageModel]]]  # what there is now, by name


@dataclass(frozen=True)
class Bounds:
    """What a plan that a client wrote may ask for. written: whether it may write one at all."""

    written: bool = True
    parts: int = 16  # names and strategies
    answers: int = 8  # n, of each model
    layers: int = 2
    number: int = 256  # any other whole number


class CallerGone(Exception):
    """Whoever asked is not there any more: nothing further is read."""


class Plans:
    """`models` are the names that plans are made of; `named` are the operator's plans, as text.

    Raises UsageError for one of these that can't be.
    """

    def __init__(
        self, models: Models, named: Mapping[str, str] | None = None, bounds: Bounds = Bounds()
    ) -> None:
        self._models = models
        self._bounds = bounds
        self._named: dict[str, Node] = {}
        for name, text in (named or {}).items():
            if name == HOST or not name.isidentifier():
                raise UsageError(f"plans.{name}: a plan needs another name", hint="letters, digits and _")
            try:
                node = parse(text)
                checked(node, {each: _stub(each) for each in _names(node)})  # who will lend is not known yet
            except UsageError as error:
                raise UsageError(f"plans.{name}: {error.message}", hint=error.hint) from None
            self._named[name] = node

    @property
    def names(self) -> list[str]:
        """What may be asked for without writing a plan."""
        return sorted({*self._named, *self._models()})

    def made(self, text: str, gone: threading.Event) -> Made:
        """The plan called `text`, or written there. Its models stop reading when `gone` is set.

        Raises KeyError for a name that there is not, UsageError for what can't be, before a model is opened.
        """
        models = self._models()
        node = self._named.get(text)
        if node is None:
            if text.isidentifier() and text not in models:
                raise KeyError(text)
            node = parse(text)
            self._within(node)

        def leaf(name: str, open: Callable[[], LanguageModel]) -> Leaf:
            return Leaf(name, lambda: Watched(open(), name, gone))

        return Made(text, build(node, {name: leaf(name, open) for name, open in models.items()}))

    def _within(self, node: Node) -> None:
        bounds = self._bounds
        if isinstance(node, Call) and not bounds.written:
            raise UsageError("this server runs no plans of others", hint=f"known: {', '.join(self.names)}")
        parts = list(_walk(node))
        if len(parts) > bounds.parts:
            raise UsageError(f"the plan has {len(parts)} parts; this server runs up to {bounds.parts}")
        for part in parts:
            if not isinstance(part, Call):
                continue
            strategy(part.strategy)  # one that there is
            if not placeable(part):
                raise UsageError(f"this server does not run {part.strategy} for others")
            for key, value in part.options.items():
                most = {"n": bounds.answers, "layers": bounds.layers}.get(key, bounds.number)
                if isinstance(value, int) and not isinstance(value, bool) and value > most:
                    raise UsageError(f"{part.strategy}: {key} is {value}; this server goes up to {most}")


class Made:
    """A plan that is ready to answer, once. The properties hold when the answer is over."""

    def __init__(self, text: str, answering: Any) -> None:
        self.text = text
        self._root: LanguageModel | Responder = answering
        self._counted = None if hasattr(answering, "respond") else Metered(answering)
        self._said: list[str] = []

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        """The answer, in pieces."""
        if self._counted is not None:
            yield from respond(self._counted, prompt, sampling)
            return
        for piece in respond_by(self._root, prompt, sampling):
            self._said.append(piece.text)
            yield piece

    @property
    def passes(self) -> int:
        return total(self._root).passes

    @property
    def read(self) -> int:
        """Tokens read by all models in it."""
        return total(self._root).tokens

    @property
    def seconds(self) -> float:
        return total(self._root).seconds

    @property
    def written(self) -> int:
        """Tokens of the answer, as the first of its models counts them."""
        if self._counted is not None:
            return self._counted.emitted
        vocabulary = _vocabulary(self._root)
        return len(vocabulary.encode("".join(self._said))) if vocabulary is not None else 0

    @property
    def left_out(self) -> list[str]:
        """Who did not answer, from where on, and why."""
        return [str(absence) for absence in absences(self._root)]


class Watched(Metered):
    """A model in a plan: counted, called by its name, and silent when the caller has gone."""

    def __init__(self, model: LanguageModel, name: str, gone: threading.Event) -> None:
        super().__init__(model)
        self.name = name
        self._gone = gone
        if hasattr(model, "dial"):
            self.dial = model.dial  # lent by a client: asked for few rows

    def open(self, prompt: Prompt) -> Any:
        self._go_on()
        return _WatchedSession(super().open(prompt), self._go_on)

    def _go_on(self) -> None:
        if self._gone.is_set():
            raise CallerGone


class _WatchedSession:
    def __init__(self, session: Any, go_on: Callable[[], None]) -> None:
        self._session = session
        self._go_on = go_on

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        self._go_on()
        answer: Answer = self._session.feed(ids, want)
        return answer

    def rewind(self, length: int) -> None:
        self._session.rewind(length)

    def close(self) -> None:
        self._session.close()


def unknown(name: str, known: Sequence[str]) -> str:
    """What to say of a plan that there is not."""
    return f"no plan of that name; {did_you_mean(name, known)}"


def _stub(name: str) -> Leaf:
    def never() -> LanguageModel:
        raise AssertionError

    return Leaf(name, never)


def _walk(node: Any) -> Iterator[Name | Call]:
    if isinstance(node, Name | Call):
        yield node
    if isinstance(node, Call):
        for value in node.values():
            for each in value if isinstance(value, list) else [value]:
                yield from _walk(each)


def _names(node: Node) -> list[str]:
    return [part.name for part in _walk(node) if isinstance(part, Name)]


def _vocabulary(model: Any) -> Vocabulary | None:
    from renga.models.composed import parts_of

    for part in parts_of(model):
        if (found := getattr(part, "vocabulary", None)) is not None:
            return found  # type: ignore[no-any-return]
    return None
