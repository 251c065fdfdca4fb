"""The sanitiser: a text goes in as a person wrote it, comes out fit to leave, and its answer comes back
whole.

`restore(sanitise(x)) == x` for every text, whatever is replaced or allowed: what looks like a surrogate in a
person's own text is replaced too, and every result is restored once and compared before it is given away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from renga.client.sanitisation.conversation import Conversation, Home, Pair
from renga.client.sanitisation.decisions import OWNERS_WORD
from renga.client.sanitisation.entities import Detector, Entity, find
from renga.client.sanitisation.matching import Matcher
from renga.client.sanitisation.restoring import Restorer, restored
from renga.client.sanitisation.rules import Rule, Rules, Style
from renga.client.sanitisation.sinks import ENDS, Sinks
from renga.client.sanitisation.surrogates import coarse, surrogate
from renga.client.sanitisation.tags import LITERAL, folded
from renga.errors import RengaError


class Blocked(RengaError):
    """The owner's rules let no text with something of this kind leave."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A span of the input, and what stands for it: `surrogate`, which can be restored, or, if `coarse`,
    not."""

    start: int
    end: int
    kind: str
    surrogate: str
    coarse: bool = False


@dataclass(frozen=True)
class Sanitised:
    """A text that may leave, and what was hidden in it (offsets into the input, in order)."""

    text: str
    entities: tuple[Hidden, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many spans of each kind were hidden; a person's own look-alikes are not private."""
        return dict(Counter(hidden.kind for hidden in self.entities if hidden.kind != LITERAL))


@dataclass
class Sanitiser:
    """Of one conversation."""

    detectors: Sequence[Detector]
    rules: Rules = field(default_factory=Rules)
    conversation: Conversation = field(default_factory=Conversation)

    def sanitise(self, text: str) -> Sanitised:
        """Raises DetectionFailed, Blocked, and what the vault raises: in each case nothing may leave."""
        return self.replace(text, self.find(text))

    def find(self, text: str) -> list[Entity]:
        """What is private in `text`, less what its owner said is not."""
        never = {_plain(value) for value in self.rules.never}
        found = find(text, self.conversation.known(), self.detectors)
        return [e for e in found if _plain(text[e.start : e.end]) not in never]

    def replace(self, text: str, entities: Sequence[Entity], before: Sinks | None = None) -> Sanitised:
        """`text` with a surrogate for each of `entities` (in order, without overlaps) that is not allowed.

        before: what was read of a longer text that goes on with `text`, cut at the end of a line; it is read
        on.
        """
        before = before or Sinks()
        asked = [(e, self._rule(e)) for e in entities]
        blocked = Counter(entity.kind for entity, rule in asked if rule is Rule.BLOCK)
        if blocked:
            said = ", ".join(f"{count} {kind}" for kind, count in sorted(blocked.items()))
            raise Blocked(f"the prompt holds {said}, and your rules let none leave", hint="sanitisation.toml")
        spans = [_Span(e.start, e.end, e, rule) for e, rule in asked if rule is not Rule.ALLOW]
        spans = self._with_look_alikes(text, spans)
        if not spans:
            before.read(text)
            return Sanitised(text, ())
        styles = dict.fromkeys([self.rules.style, Style.TAG])
        for style in styles:
            try:
                with self.conversation.changing():
                    return self._composed(text, spans, style, before)
            except _Ambiguous:
                continue
        raise RengaError("the prompt can't be sanitised so that it can be restored; nothing was sent")

    def restore(self, stream: Iterable[str | bytes], allow: Collection[str] = ()) -> Iterator[str]:
        """The stream with this conversation's surrogates restored, piece by piece."""
        return restored(stream, self.conversation, [*self.rules.restore_into, *allow])

    def restorer(self, allow: Collection[str] = ()) -> Restorer:
        """For who feeds pieces himself."""
        return Restorer(self.conversation, [*self.rules.restore_into, *allow])

    def _rule(self, entity: Entity) -> Rule:
        rule = self.rules.rule(entity.kind)
        return Rule.REPLACE if rule is Rule.ALLOW and entity.certainty >= OWNERS_WORD else rule

    def _with_look_alikes(self, text: str, spans: list[_Span]) -> list[_Span]:
        """With what the restorer would take for surrogates in a person's own text, or would as soon as
        what is beside it is replaced: hence also in each gap by itself, until there is nothing more."""
        matcher, shadow = Matcher(self.conversation), folded(text)
        if not matcher.may_be_in(shadow):
            return spans
        spans = _joined(spans, [_Span(*found, None, Rule.REPLACE) for found in _found(matcher, shadow)])
        while True:
            edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
            more = [
                _Span(start + left, end + left, None, Rule.REPLACE)
                for left, right in zip(edges[::2], edges[1::2], strict=True)
                for start, end in _found(matcher, shadow[left:right])
            ]
            if not more:
                return spans
            spans = _joined(spans, more)

    def _composed(self, text: str, spans: Sequence[_Span], style: Style, before: Sinks) -> Sanitised:
        said: list[str] = []  # what leaves
        meant: list[str] = []  # what it is restored to
        hidden: list[Hidden] = []
        sinks, at, queue = before.copy(), 0, list(reversed(spans))
        while queue:
            span = queue.pop()
            sinks.read(text[at : span.start])
            place = sinks.look()
            if place.open and span.rule is Rule.REPLACE:
                span = self._to_the_end_of_the_host(text, span, queue)
            own = text[span.start : span.end]
            if span.rule is Rule.COARSEN and span.entity is not None:
                stands = coarse(span.entity, own)
                sinks.read(stands)
                back = stands
            else:
                stands, back = self._pair(span, text, style).surrogate, own
                if place.sink:
                    self.conversation.add(Home(stands, place.name))
                sinks.enter(stands)
            said += [text[at : span.start], stands]
            meant += [text[at : span.start], back]
            kind = str(span.entity.kind) if span.entity else LITERAL
            hidden.append(Hidden(span.start, span.end, kind, stands, span.rule is Rule.COARSEN))
            at = span.end
        said.append(text[at:])
        meant.append(text[at:])
        sinks.read(text[at:])
        result = Sanitised("".join(said), tuple(hidden))
        restorer = Restorer(self.conversation, sinks=before.copy())
        if restorer.feed(result.text) + restorer.end() != "".join(meant):
            raise _Ambiguous
        before.__dict__.update(sinks.__dict__)
        return result

    def _to_the_end_of_the_host(self, text: str, span: _Span, queue: list[_Span]) -> _Span:
        """Whoever may say what follows `https://⟨surrogate⟩` says where it leads: the host goes as a
        whole."""
        end = span.end
        while end < len(text) and text[end] not in ENDS:
            end += 1
            while queue and queue[-1].start < end:
                end = max(end, queue.pop().end)
        if end == span.end:
            return span
        own = text[span.start : end]
        entity = replace(span.entity, end=end, value=own, subject=None) if span.entity else None
        return _Span(span.start, end, entity, span.rule)

    def _pair(self, span: _Span, text: str, style: Style) -> Pair:
        conversation = self.conversation
        own = text[span.start : span.end]
        kind = str(span.entity.kind) if span.entity else LITERAL
        value = span.entity.value if span.entity else own
        subject = (span.entity and span.entity.subject) or f"{kind}:{value}"
        as_tag = span.entity is None or style.tags(kind)
        pair = conversation.pair_of(kind, own, tag=as_tag)
        if pair := pair or conversation.pair_of(kind, own, tag=True):  # where nothing realistic was fit
            return pair
        tag = conversation.next_tag(kind, subject)
        stands = str(tag)
        if not as_tag:
            made = surrogate(kind, own, subject, text, conversation)
            if made is None:
                return self._pair(span, text, Style.TAG)
            stands = made
        pair = Pair(stands, own, kind, value, subject, tag.number, tag.form, as_tag)
        conversation.add(pair)
        return pair


class _Ambiguous(Exception):
    """Restoring would not give back what went in."""


@dataclass(frozen=True, slots=True)
class _Span:
    """entity: None for what only looks like a surrogate."""

    start: int
    end: int
    entity: Entity | None
    rule: Rule


def _found(matcher: Matcher, shadow: str) -> Iterator[tuple[int, int]]:
    at = 0
    while (match := matcher.search(shadow, at)) is not None:
        yield match.span()
        at = match.end()


def _joined(spans: Sequence[_Span], others: Sequence[_Span]) -> list[_Span]:
    """All of them in order; those that overlap become one, of the first entity's kind."""
    joined: list[_Span] = []
    for span in sorted([*spans, *others], key=lambda s: (s.start, -s.end)):
        if joined and span.start < joined[-1].end:
            last = joined.pop()
            entity = last.entity or span.entity
            span = _Span(last.start, max(last.end, span.end), entity, Rule.REPLACE)
        joined.append(span)
    return joined


def _plain(value: str) -> str:
    return " ".join(value.split()).casefold()
