"""From surrogates back to what they stand for, in text that streams.

Models respell what they were given: case, full-width forms, spaces, escapes, a translated type, an ending.
Such spellings are taken for the surrogate, and only surrogates of this conversation are. Held back is no
more than what may still become one. In links, targets and attributes (see `sinks`) nothing is restored
unless the owner allows it, or wrote it there.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from renga.client.sanitisation.conversation import Conversation, Pair
from renga.client.sanitisation.matching import Matcher
from renga.client.sanitisation.sinks import ENDS, Place, Sinks
from renga.client.sanitisation.tags import folded


class Restorer:
    """Restores one answer. `allow`: sinks in which surrogates are restored too ("link", "target",
    "attribute"). `sinks`: what was read before. `left`: what was not restored and why, as (surrogate,
    sink or "unknown")."""

    def __init__(
        self, conversation: Conversation, allow: Collection[str] = (), sinks: Sinks | None = None
    ) -> None:
        self._conversation = conversation
        self._matcher = Matcher(conversation)
        self._allow = frozenset(allow)
        self._sinks = sinks or Sinks()
        self._buffer = ""  # what is held back, after one character that was not
        self._context = 0  # 1 if that character is there
        self.left: Counter[tuple[str, str]] = Counter()
        self.restored = 0

    def feed(self, text: str) -> str:
        """What can be said after `text`; it may be cut anywhere."""
        self._buffer += text
        return self._go(final=False)

    def end(self) -> str:
        """What was held back to the end."""
        return self._go(final=True)

    @property
    def held(self) -> int:
        """Characters that are held back."""
        return len(self._buffer) - self._context

    def _go(self, final: bool) -> str:
        text, matcher, said = self._buffer, self._matcher, list[str]()
        shadow = folded(text)
        at = self._context
        hold = len(text) if final else matcher.hold(shadow, at)
        while (match := matcher.search(shadow, at)) is not None and (final or match.start() < hold):
            self._say(text[at : match.start()], said)
            at = match.start()
            pair = matcher.pair(match)
            if pair is None:  # another process may have issued it
                self._conversation.refresh()
                pair = matcher.pair(match)
            if pair is None:
                self.left[match[0], "unknown"] += 1
                self._say(text[at : match.end()], said)
            else:
                place = self._sinks.look()
                if place.open and match.end() == len(text) and not final:
                    hold = at
                    break
                after = text[match.end() : match.end() + 1]
                allowed = (
                    not place.sink
                    or place.sink in self._allow
                    or (self._at_home(pair, place) and (not place.open or not after or after in ENDS))
                )
                self._sinks.enter(pair.surrogate)
                said.append(matcher.meaning(pair, match) if allowed else text[at : match.end()])
                self.restored += allowed
                if not allowed:
                    self.left[pair.surrogate, place.sink] += 1
            at = match.end()
            if at > hold:
                hold = len(text) if final else matcher.hold(shadow, at)
        self._say(text[at:hold], said)
        at = max(at, hold)
        self._context = min(at, 1)
        self._buffer = text[at - self._context :]
        return "".join(said)

    def _at_home(self, pair: Pair, place: Place) -> bool:
        if not self._conversation.at_home(pair.surrogate, place.name):
            self._conversation.refresh()
        return self._conversation.at_home(pair.surrogate, place.name)

    def _say(self, text: str, said: list[str]) -> None:
        if text:
            self._sinks.read(text)
            said.append(text)


def restored(
    chunks: Iterable[str | bytes], conversation: Conversation, allow: Collection[str] = ()
) -> Iterator[str]:
    """A stream with everything restored; bytes may be cut inside a character."""
    restorer = Restorer(conversation, allow)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        text = decoder.decode(chunk) if isinstance(chunk, bytes) else chunk
        if said := restorer.feed(text):
            yield said
    if said := restorer.feed(decoder.decode(b"", True)) + restorer.end():
        yield said
