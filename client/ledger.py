"""The ledger: every message that left this device, in a file that is only ever added to.

One JSON object a line, flushed to disk before the message goes. A line that was cut by a crash is what never
left.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from renga.errors import RengaError

# What each kind of message could tell its receiver about private text.
REVEALS = {
    "query.describe": "the model, its shapes, the number of private texts",
    "train.learn": "how well this client's model knows public texts",
    "query.answer": "answers to public prompts, with rows, by a model of private text: they may repeat it",
    "train.exchange": "an adapter and rows made from private text: text may be inferred from them",
    "evaluate.judge": "two numbers: how well an adapter does on held-out private text",
    "prompt": "the prompt, as it was cleared",
    "session": "the prompt as it was cleared, and the tokens of an answer",
    "lent": "what the edge model says, which was trained on private text",
}


@dataclass(frozen=True)
class Entry:
    """One message: when (Unix seconds), what, to whom, of which round, its bytes, and what it reveals."""

    at: float
    kind: str
    to: str
    round: int
    bytes: int
    digest: str
    reveals: str


class Ledger:
    """The ledger in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kind: str, to: str, round: int, size: int, digest: str = "") -> Entry:
        """Note a message that is about to leave. Raises RengaError if it can't be noted: then it must not."""
        entry = Entry(round_at(time.time()), kind, to, round, size, digest, REVEALS.get(kind, "unknown"))
        line = (json.dumps(asdict(entry)) + "\n").encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if self._cut(descriptor):
                    line = b"\n" + line
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise RengaError(
                f"the ledger can't be written: {error.strerror}", hint="nothing leaves without it; make room"
            ) from error
        return entry

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first; a line that was cut is left out."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        yield Entry(**json.loads(line))
                    except (ValueError, TypeError):
                        continue
        except FileNotFoundError:
            return

    def sent(self, round: int) -> int:
        """Bytes that left in a round."""
        return sum(entry.bytes for entry in self.entries() if entry.round == round)

    def _cut(self, descriptor: int) -> bool:
        """Whether the last line has no end, because a process died in the middle of it."""
        size = os.fstat(descriptor).st_size
        if not size:
            return False
        with open(self._path, "rb") as file:
            file.seek(size - 1)
            return file.read(1) != b"\n"


def round_at(seconds: float) -> float:
    return round(seconds, 3)
