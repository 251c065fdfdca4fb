"""`renga ask` with a federation: a public prompt as it is, any other sanitised, and its answer restored.

Beside a question that needs no introduction, the introduction stays here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from renga.asking_alone import standing_alone
from renga.client.federation import Federation
from renga.client.sanitisation.desk import Desk
from renga.models.contract import Clearance, Prompt, Sampling
from renga.protocol import link_pb2 as wire
from renga.reviewing import Review

Write = Callable[[str], None]


def ask(
    folder: Path, prompt: str, clearance: Clearance, sampling: Sampling, write: Write, plan: str = ""
) -> wire.Usage:
    """Ask the server that the client in `folder` belongs to; `write` gets the answer as it comes.

    Raises UsageError if there is no client there, Withheld if the policy or the clearance say no, RengaError
    if the server can't answer.
    """
    reply = Federation(folder).ask(Prompt(prompt, clearance), sampling, plan)
    for piece in reply:
        write(piece.text)
    return reply.usage


@dataclass(frozen=True)
class Told:
    """What a private question hid, by kind, and how many surrogates stayed in links. alone: what introduced
    the asker did not leave at all."""

    hidden: dict[str, int]
    stayed: int
    alone: bool = False

    @property
    def line(self) -> str:
        hidden = ", ".join(f"{count} {kind}" for kind, count in sorted(self.hidden.items())) or "nothing"
        return (
            f"hidden: {hidden}"
            + ("; the question left without its introduction" if self.alone else "")
            + (f"; {self.stayed} not restored, in links" if self.stayed else "")
        )


def ask_privately(
    answered: Callable[[str, Write], None],
    text: str,
    desk: Desk,
    conversation: str | None,
    write: Write,
    review: Review | None = None,
) -> Told:
    """Sanitise, have it `answered` (the text that may leave, and what takes the answer), restore.

    In a conversation, or where a person looked, all of it leaves; else a question may leave alone.

    Raises DetectionFailed, Blocked, Reviewed (the person wants nothing to leave), and what `answered` raises.
    """
    sanitiser = desk.sanitiser(conversation)
    found = sanitiser.find(text)
    if review is not None:
        found = review.settled(text, found, sanitiser, desk)
    sanitised = sanitiser.replace(text, found)
    alone = standing_alone(text, sanitiser) if review is None and conversation is None else None
    restorer = sanitiser.restorer()
    leaves = sanitised.text if alone is None else sanitiser.sanitise(alone).text
    answered(leaves, lambda piece: write(restorer.feed(piece)))
    write(restorer.end())
    stayed = sum(count for (_, why), count in restorer.left.items() if why != "unknown")
    return Told(sanitised.counts, stayed, alone is not None)
