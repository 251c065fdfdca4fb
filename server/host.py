"""The host model on the server: it reads, it teaches, it learns, and a gate decides what it keeps."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from renga.models.adapter import Adapter
from renga.models.alignment import Crosswalk, Targets, align_many
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.local import LocalModel
from renga.models.scoring import Encoded, bits_per_byte, encode_texts, rows_of
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.server.plan import Teaching

# phase, step, steps, loss, tokens of the step
OnProgress = Callable[[str, int, int, float | None, int], None]

# One settled answer in so many is not learned but kept to judge by.
APART = 6


@dataclass(frozen=True)
class HostSettings:
    """How the host learns from the transfer set in a round."""

    rank: int
    alpha: float
    modules: str
    rate: float
    tokens: int
    batch: int
    distillation: float
    temperature: float
    tolerance: float
    top_k: int
    floor: float


@dataclass
class Host:
    """The server's model and the adapter it has learned so far (None: untouched).

    `validation` are public texts that it never learns from; what makes them worse is not adopted. Who uses
    the weights holds `turn`: a server answers and learns in different threads.
    """

    weights: SharedWeights
    settings: HostSettings
    validation: Sequence[Example]
    seed: int
    on_progress: OnProgress | None = None
    adapter: Adapter | None = field(default=None)
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def model(self) -> LocalModel:
        return LocalModel(self.weights, self.adapter)

    def losses(self, texts: Sequence[Example]) -> np.ndarray:
        """Bits per byte of each text: [texts] float32."""
        with self.turn:
            return bits_per_byte(self.model, texts, tick=self._tick()).astype(np.float32)

    def rows(self, texts: Sequence[Example]) -> list[Rows]:
        """What the host says about each text."""
        settings = self.settings
        with self.turn:
            return rows_of(self.model, texts, top_k=settings.top_k, floor=settings.floor, tick=self._tick())

    def learn(
        self, lessons: Sequence[Teaching], crosswalk_of: Callable[[str], Crosswalk], seed: int
    ) -> tuple[Adapter | None, dict[str, Any]]:
        """Learn `lessons` behind the gate: the adapter to go on with, and what the metrics say.

        `crosswalk_of` leads from a teacher's tokens to the host's own, by the teacher's name. Some settled
        answers are not learned: with the validation texts they say what learning the others is worth.
        """
        with self.turn:
            return self._learn(lessons, crosswalk_of, seed)

    def _learn(
        self, lessons: Sequence[Teaching], crosswalk_of: Callable[[str], Crosswalk], seed: int
    ) -> tuple[Adapter | None, dict[str, Any]]:
        settings = self.settings
        lessons, apart = _set_apart(lessons)
        texts = encode_texts(self.weights, [lesson.text for lesson in lessons])
        targets = _aligned(lessons, texts, crosswalk_of)
        start = self.adapter or self.weights.fresh_adapter(
            settings.rank, settings.alpha, settings.modules, self.seed
        )
        how = Learning(
            rate=settings.rate,
            tokens=settings.tokens,
            batch=settings.batch,
            distillation=settings.distillation,
            temperature=settings.temperature,
            seed=seed,
        )
        before = self.validation_loss(self.adapter, apart)
        learned = learn(
            self.weights,
            start,
            [_lesson(*of) for of in zip(lessons, texts, targets, strict=True)],
            how,
            self.step_reporter(),
        )
        record: dict[str, Any] = {
            "loss": [_finite(round(x, 4)) for x in learned.losses],
            "tokens": learned.tokens,
            "texts": len(lessons),
            "teachers": dict(sorted(Counter(lesson.teacher for lesson in lessons if lesson.teacher).items())),
        }
        record |= _alignment_record([t for t in targets if t is not None])
        if not learned.losses:
            return self.adapter, record | {"adopted": False, "reason": "there was nothing to learn"}
        after = self.validation_loss(learned.adapter, apart)
        better = after <= before + settings.tolerance
        verdict = "adopted" if better else f"worse by more than {settings.tolerance:g}, not adopted"
        reason = f"validation text: {before:.3f} -> {after:.3f} bits per byte, {verdict}"
        record |= {"before": before, "after": _finite(after), "adopted": better, "reason": reason}
        return (learned.adapter if better else self.adapter), record

    def validation_loss(self, adapter: Adapter | None, more: Sequence[Example] = ()) -> float:
        """Bits per byte on the validation texts and `more`, over all their bytes."""
        texts = [*self.validation, *more]
        if not texts:
            return 0.0
        losses = bits_per_byte(LocalModel(self.weights, adapter), texts, tick=self._tick())
        sizes = [len((example.response or "").encode()) for example in texts]
        return float(np.average(losses, weights=sizes))

    def _tick(self) -> Callable[[int, int], None] | None:
        report = self.on_progress
        return None if report is None else (lambda done, total: report("scoring", done, total, None, 0))

    def step_reporter(self) -> Callable[[int, int, float, int], None] | None:
        """What a learning loop should call after each step, None where nobody listens."""
        report = self.on_progress
        if report is None:
            return None
        return lambda step, steps, loss, tokens: report("host", step, steps, loss, tokens)


def _lesson(teaching: Teaching, text: Encoded, targets: Targets | None) -> Lesson:
    """A settled answer is nobody's gold: its giver's rows, doubts included, are all that is known of it."""
    return Lesson(text, targets, distillation=1.0 if teaching.settled else None)


def _finite(value: float) -> float | None:
    """JSON knows no NaN: what learning that blew up leaves behind is not a number, and told as none."""
    return value if math.isfinite(value) else None


def _set_apart(lessons: Sequence[Teaching]) -> tuple[list[Teaching], list[Example]]:
    """Lessons to learn, and the texts of about one in `APART` settled answers.

    The prompt decides, so that what was learned in one round does not judge the next. Labelled validation
    text alone would call all that clients know and the public doesn't a loss.
    """
    kept: list[Teaching] = []
    apart: list[Example] = []
    for lesson in lessons:
        draw = int(hashlib.sha256(lesson.text.prompt.encode()).hexdigest(), 16)
        if lesson.settled and draw % APART == 0:
            apart.append(lesson.text)
        else:
            kept.append(lesson)
    return kept, apart


def _aligned(
    lessons: Sequence[Teaching], texts: Sequence[Encoded], crosswalk_of: Callable[[str], Crosswalk]
) -> list[Targets | None]:
    """Every teacher's rows brought to the host's tokens, teacher by teacher."""
    targets: list[Targets | None] = [None] * len(lessons)
    for teacher in sorted({lesson.teacher for lesson in lessons if lesson.rows is not None}):
        places = [
            i for i, lesson in enumerate(lessons) if lesson.teacher == teacher and lesson.rows is not None
        ]
        rows = [rows for i in places if (rows := lessons[i].rows) is not None]
        aligned = align_many(rows, crosswalk_of(teacher), [texts[i].response for i in places])
        for i, target in zip(places, aligned, strict=True):
            targets[i] = target
    return targets


def _alignment_record(targets: Sequence[Targets]) -> dict[str, float]:
    if not targets:
        return {}
    return {
        "mapped_mass": float(np.mean([t.mapped_mass for t in targets])),
        "masked_share": float(np.mean([t.masked_share for t in targets])),
    }
