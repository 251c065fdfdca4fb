"""One answer for a person: sanitised if it leaves, restored, cut at its stops, told what was hidden.

The endpoint and the terminal chat both go through here, so that neither can forget a step.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from renga.client.answerers import Answerer, Used
from renga.client.dialogue import BEGINS_A_CALL, STOPS, ToolCall, Turn, Until, as_prompt, calls_in
from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import Entity
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.client.sanitisation.vault import SealedConversation
from renga.models.contract import Clearance, Prompt, Sampling


@dataclass
class Answering:
    """Iterate for the pieces of the answer; what the fields say holds after that (`hidden` and
    `conversation` from the start).

    hidden: spans by kind. stayed: surrogates that were not restored. calls: tools that the answer calls;
    their arguments keep surrogates unless the owner's rules restore into "tools". text: all pieces; came:
    the same as it came, with surrogates; sent: all turns as they leave.
    """

    answerer: Answerer
    prompt: Prompt
    sampling: Sampling
    used: Used
    stops: Sequence[str] = ()
    tools: frozenset[str] = frozenset()
    sanitiser: Sanitiser | None = None
    hidden: dict[str, int] = field(default_factory=dict)
    stayed: int = 0
    calls: list[ToolCall] = field(default_factory=list)
    text: str = ""
    came: str = ""
    sent: Sequence[Turn] = ()

    def __iter__(self) -> Iterator[str]:
        restorer = self.sanitiser.restorer() if self.sanitiser else None
        until, waiting, decided = Until(self.stops), "", not self.tools
        for piece in self._pieces(until):
            if not decided:  # a call of a tool is not text: it is told whole, or not at all
                waiting += piece
                begun = waiting.lstrip()
                if not begun or any(
                    mark.startswith(begun) or begun.startswith(mark) for mark in BEGINS_A_CALL
                ):
                    continue
                piece, waiting, decided = waiting, "", True
            yield from self._said(restorer.feed(piece) if restorer else piece)
        if waiting:
            self.calls = [self._allowed(call) for call in calls_in(waiting, self.tools)]
            if self.calls:
                return
            yield from self._said(restorer.feed(waiting) if restorer else waiting)
        if restorer:
            yield from self._said(restorer.end())
            self.stayed = sum(count for (_, why), count in restorer.left.items() if why != "unknown")

    @property
    def finish(self) -> str:
        """stop, length or tool_calls."""
        if self.calls:
            return "tool_calls"
        return "length" if self.used.completion_tokens >= self.sampling.max_tokens else "stop"

    def _pieces(self, until: Until) -> Iterator[str]:
        answer = self.answerer.answer(self.prompt, self.sampling, self.used)
        for piece in answer:
            if said := until.feed(piece.text):
                self.came += said
                yield said
            if until.over:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()
                return
        if said := until.feed("", final=True):
            self.came += said
            yield said

    def _said(self, text: str) -> Iterator[str]:
        if text:
            self.text += text
            yield text

    def _allowed(self, call: ToolCall) -> ToolCall:
        if self.sanitiser is None or "tools" not in self.sanitiser.rules.restore_into:
            return call
        return ToolCall(call.name, _restored_in(call.arguments, self.sanitiser))


def answering(
    answerer: Answerer,
    turns: Sequence[Turn],
    sampling: Sampling,
    used: Used,
    desk: Desk,
    conversation: Conversation | None,
    *,
    tools: str = "",
    names: frozenset[str] = frozenset(),
    stops: Sequence[str] = (),
    before: Sequence[Turn] = (),
    found: Sequence[Entity] | None = None,
) -> Answering:
    """Prepare an answer to `turns`; nothing has left before it is iterated.

    before: turns that left already, as they did. found: what a person wants hidden in the last turn.

    Raises DetectionFailed, Blocked, and what the vault raises. Without a conversation nothing is replaced,
    which is for answerers on this machine alone.
    """
    stops = (*stops, *(STOPS if len(turns) + len(before) > 1 else ()))
    if conversation is None:
        assert not answerer.leaves
        prompt = as_prompt([*before, *turns], Clearance.RAW, tools)
        return Answering(answerer, prompt, sampling, used, stops, names)
    sanitiser = desk.of(conversation)
    hidden: Counter[str] = Counter()

    def clean(text: str) -> str:
        sanitised = sanitiser.sanitise(text)
        hidden.update(sanitised.counts)
        return sanitised.text

    cleaned = [
        *before,
        *(Turn(turn.role, clean(turn.text)) for turn in (turns if found is None else turns[:-1])),
    ]
    if found is not None:
        last = sanitiser.replace(turns[-1].text, found)
        hidden.update(last.counts)
        cleaned.append(Turn(turns[-1].role, last.text))
    prompt = as_prompt(cleaned, Clearance.SANITISED, clean(tools) if tools else "")
    return Answering(answerer, prompt, sampling, used, stops, names, sanitiser, dict(hidden), sent=cleaned)


def followed(desk: Desk, turns: Sequence[Turn]) -> SealedConversation:
    """The conversation that these turns go on with, as far as its last answer; a new one otherwise. Programs
    send all turns anew each time and no name, so the turns themselves are the name."""
    last = max((place for place, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    found = desk.vault.follow(thread(turns[: last + 1])) if last >= 0 else None
    return found or desk.vault.conversation(f"endpoint-{secrets.token_hex(8)}")


def thread(turns: Sequence[Turn]) -> str:
    """What the turns so far are called. The vault keeps a keyed hash of it."""
    said = json.dumps([[turn.role, turn.text.strip()] for turn in turns if turn.role != "system"])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def _restored_in(arguments: str, sanitiser: Sanitiser) -> str:
    """JSON with every text in it restored: in JSON a value must be escaped."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return "".join(sanitiser.restore([value], allow=("link", "target", "attribute")))
        if isinstance(value, list):
            return [walk(one) for one in value]
        return {key: walk(one) for key, one in value.items()} if isinstance(value, dict) else value

    try:
        return json.dumps(walk(json.loads(arguments)), ensure_ascii=False)
    except ValueError:
        return arguments
