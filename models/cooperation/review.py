"""People in the loop: a queue of answers that wait for somebody to look at them.

One SQLite file, private to its owner. What is asked about first is what the detectors are least sure of, then
what is due first. A verdict after the deadline is kept, for learning, but whoever waited has gone on.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from renga.errors import RengaError, UsageError
from renga.models.cooperation.guard import Finding, worst_by_detector
from renga.models.cooperation.verdicts import Verdict
from renga.models.example import Example

FORMAT = 0x52455601

_TABLES = """
CREATE TABLE items (
  id INTEGER PRIMARY KEY, question TEXT NOT NULL, answer TEXT NOT NULL, score REAL NOT NULL,
  scores TEXT NOT NULL, reasons TEXT NOT NULL, asked REAL NOT NULL, due REAL NOT NULL,
  verdict INTEGER, correction TEXT, judged REAL);
"""


@dataclass(frozen=True)
class Item:
    """An answer that waits. due: seconds since the epoch."""

    id: int
    question: str
    answer: str
    score: float
    reasons: tuple[str, ...]
    due: float

    @property
    def uncertainty(self) -> float:
        """1 where the detectors can't tell at all, 0 where they are sure."""
        return 1 - 2 * abs(self.score - 0.5)


class ReviewQueue:
    """The queue in the file at `path`."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        """Raises RengaError when what stands there is no queue, or can't be opened."""
        self._where, self._now = path, now
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=5.0, isolation_level=None)
            (format,) = self._db.execute("PRAGMA application_id").fetchone()
            if not format and not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA application_id = {FORMAT}; COMMIT;")
                os.chmod(path, 0o600)
            elif format != FORMAT:
                raise sqlite3.DatabaseError("not a queue of ours")

    def ask(self, question: str, answer: str, finding: Finding, *, seconds: float) -> int:
        """Put an answer before people, for `seconds`; its number."""
        reasons = [f"{mark.span.of(answer)!r}: {mark.reason}" for mark in finding.marks if mark.score > 0]
        row = (
            question, answer, finding.score, json.dumps(worst_by_detector(finding.marks)),
            json.dumps(reasons[:8]), self._now(), self._now() + seconds,
        )  # fmt: skip
        with self._told():
            cursor = self._db.execute(
                "INSERT INTO items (question, answer, score, scores, reasons, asked, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        return int(cursor.lastrowid or 0)

    def waiting(self) -> list[Item]:
        """What nobody has judged and is still due: the least sure first, of equals the one due first."""
        query = (
            "SELECT id, question, answer, score, reasons, due FROM items WHERE verdict IS NULL AND due > ?"
        )
        with self._told():
            rows = self._db.execute(query, (self._now(),)).fetchall()
        items = [Item(i, q, a, s, tuple(json.loads(r)), d) for i, q, a, s, r, d in rows]
        return sorted(items, key=lambda item: (-round(item.uncertainty, 6), item.due, item.id))

    def judge(self, id: int, right: bool, correction: str | None = None) -> bool:
        """Say whether an answer is right, and what would be. False if it came after the deadline. Raises
        UsageError for an item that is not there or was judged."""
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                row = self._db.execute("SELECT verdict, due FROM items WHERE id = ?", (id,)).fetchone()
                if row is None:
                    raise UsageError(f"no item {id} in {self._where}")
                if row[0] is not None:
                    raise UsageError(f"item {id} was judged already")
                facts = (int(right), correction, self._now(), id)
                self._db.execute(
                    "UPDATE items SET verdict = ?, correction = ?, judged = ? WHERE id = ?", facts
                )
            finally:
                self._db.execute("COMMIT")
        return bool(row[1] > self._now())

    def wait(self, id: int, *, poll: float = 0.5, sleep: Callable[[float], None] = time.sleep) -> str | None:
        """The answer that holds by an item's verdict: its own or the correction; None if the deadline passes,
        or it is wrong and nobody said what is right."""
        while True:
            with self._told():
                row = self._db.execute(
                    "SELECT verdict, correction, answer, due, judged FROM items WHERE id = ?", (id,)
                ).fetchone()
            verdict, correction, answer, due, judged = row
            if verdict is not None and judged <= due:
                return str(answer) if verdict else correction
            if self._now() >= due or verdict is not None:
                return None
            sleep(min(poll, max(0.0, due - self._now())))

    def verdicts(self) -> list[Verdict]:
        """All that was judged, in order: what detectors and routers learn from."""
        query = "SELECT question, answer, scores, verdict FROM items WHERE judged > 0 ORDER BY judged, id"
        with self._told():
            rows = self._db.execute(query).fetchall()
        return [Verdict(q, a, json.loads(scores), bool(right)) for q, a, scores, right in rows]

    def examples(self) -> list[dict[str, object]]:
        """Judged questions with the answers that hold, as lines of a data file: routers and edge models learn
        from them. An answer that is wrong without a correction gives none."""
        query = "SELECT question, answer, verdict, correction FROM items WHERE judged > 0 ORDER BY id"
        with self._told():
            rows = self._db.execute(query).fetchall()
        held = [(q, a if right else correction) for q, a, right, correction in rows]
        return [{"prompt": q, "response": r} for q, r in held if r and r.strip() and q.strip()]

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RengaError(f"{self._where}: the review queue can't be used ({error})") from error


def judged(path: Path) -> list[Example]:
    """The answers that hold by the verdicts in a queue, as texts to learn from. Raises UsageError if there is
    no queue."""
    if not path.is_file():
        raise UsageError(f"{path}: no such queue", hint='a plan makes it: guard(…, then="ask", queue="…")')
    queue = ReviewQueue(path)
    held = [Example(str(line["prompt"]), str(line["response"])) for line in queue.examples()]
    queue.close()
    return held


class Queued:
    """A person behind a queue, as a reviewer: asks, and waits until the deadline."""

    def __init__(self, queue: ReviewQueue, *, seconds: float = 600.0, poll: float = 0.5) -> None:
        self._queue, self._seconds, self._poll = queue, seconds, poll

    def review(self, question: str, answer: str, finding: Finding) -> str | None:
        number = self._queue.ask(question, answer, finding, seconds=self._seconds)
        return self._queue.wait(number, poll=self._poll)


class SimulatedReviewer:
    """A reviewer who knows what is right, and misjudges an answer with probability `error`."""

    def __init__(
        self, truth: Callable[[str], str], same: Callable[[str, str], bool], error: float, seed: int
    ):
        self._truth, self._same, self._error = truth, same, error
        self._generator = np.random.default_rng(seed)
        self.asked = 0

    def review(self, question: str, answer: str, finding: Finding) -> str | None:
        self.asked += 1
        right = self._same(answer, self._truth(question))
        if self._generator.random() < self._error:
            right = not right
        # Who takes a right answer for a wrong one has no better one to offer than it.
        return answer if right else self._truth(question)

    def judge(self, question: str, answer: str) -> bool:
        """The verdict alone."""
        return self.review(question, answer, Finding()) == answer
