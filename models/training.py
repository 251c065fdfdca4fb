"""Learning from texts: LoRA steps on gold text, and on what better models say about it.

One loop serves both sides: a client on its private texts, a client on the transfer set, the host on the
transfer set. The budget is in tokens, since that is what costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from renga.models.adapter import Adapter
from renga.models.alignment import Targets, joined, nothing
from renga.models.distillation import kd_loss
from renga.models.scoring import Encoded
from renga.models.weights import SharedWeights

WARMUP = 0.1  # share of the steps in which the rate rises
CLIP = 1.0  # of the gradient's norm

# step, steps planned, loss, tokens read in the step
OnStep = Callable[[int, int, float, int], None]


@dataclass(frozen=True)
class Lesson:
    """A text to learn: its gold response, and perhaps a teacher's rows brought to the learner's tokens.

    `weight` scales the whole text's loss; `targets` is None where there is no teacher. `distillation`, if it
    is given, is the teacher's share of this text's loss: 1 where the response is only what a model answered.
    """

    text: Encoded
    targets: Targets | None = None
    weight: float = 1.0
    distillation: float | None = None


@dataclass(frozen=True)
class Learning:
    """How to learn. `distillation` in [0, 1] is the teacher's share of the loss where there is a teacher."""

    rate: float
    tokens: int
    batch: int = 8
    distillation: float = 0.5
    temperature: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Learned:
    """The adapter after learning, the loss of each step (nats per response token), and the tokens read."""

    adapter: Adapter
    losses: list[float] = field(default_factory=list)
    tokens: int = 0


def learn(
    weights: SharedWeights,
    adapter: Adapter,
    lessons: Sequence[Lesson],
    how: Learning,
    on_step: OnStep | None = None,
) -> Learned:
    """Train a copy of `adapter` on `lessons` until the token budget is spent.

    AdamW with a linear warm-up and a linear decay to a tenth; batches of like length in seeded order, every
    text once before any twice. With nothing to learn or no budget the adapter comes back as it was.
    """
    plan = list(_plan([lesson.text.length for lesson in lessons], how))
    if not plan:
        return Learned(adapter)
    losses: list[float] = []
    read = 0
    with weights.learning(adapter) as parameters:
        optimiser = torch.optim.AdamW(parameters, lr=how.rate, betas=(0.9, 0.99), weight_decay=0.0)
        for step, chosen in enumerate(plan):
            for group in optimiser.param_groups:
                group["lr"] = how.rate * _schedule(step, len(plan))
            with weights.meter.working():
                loss, tokens = _loss(weights, [lessons[i] for i in chosen], how)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(parameters, CLIP)
                optimiser.step()
                losses.append(float(loss.detach()))
            read += tokens
            if on_step:
                on_step(step + 1, len(plan), losses[-1], tokens)
        learned = weights.taken_off(adapter)
    return Learned(learned, losses, read)


def _loss(weights: SharedWeights, lessons: Sequence[Lesson], how: Learning) -> tuple[torch.Tensor, int]:
    """Mean over the response tokens of a batch, in nats, and the tokens read.

    A lesson's loss is its gold loss, or (1 - d) gold + d KL(teacher || student) where it has a teacher and
    d is `how.distillation` or the lesson's own; the KL of places without a target is taken to be the mean
    of the others'.
    """
    texts = [lesson.text for lesson in lessons]
    sequences = [(*text.prompt, *text.response[:-1]) for text in texts]
    counts = [len(text.response) for text in texts]
    logits = weights.logits(sequences, counts).float()
    gold = torch.tensor([token for text in texts for token in text.response])
    nll = torch.nn.functional.cross_entropy(logits, gold, reduction="none")

    taught = [_share(lesson, how) if _has_target(lesson.targets) else 0.0 for lesson in lessons]
    gold_weights = [lesson.weight * (1 - share) for lesson, share in zip(lessons, taught, strict=True)]
    loss = (nll * torch.tensor(gold_weights).repeat_interleave(torch.tensor(counts))).sum()
    if any(taught):
        targets = [lesson.targets or nothing(n) for lesson, n in zip(lessons, counts, strict=True)]
        per_place = [
            share * lesson.weight * n / max(1, int(target.mask.sum()))
            for lesson, target, share, n in zip(lessons, targets, taught, counts, strict=True)
        ]
        batch = joined(targets)
        places = torch.tensor(per_place).repeat_interleave(torch.tensor(counts))
        scale = places[torch.from_numpy(batch.mask)].sum()
        loss = loss + scale * kd_loss(logits, batch, how.temperature, places)
    return loss / sum(counts), sum(map(len, sequences))


def _share(lesson: Lesson, how: Learning) -> float:
    return how.distillation if lesson.distillation is None else lesson.distillation


def _has_target(targets: Targets | None) -> bool:
    return targets is not None and bool(targets.mask.any())


def _plan(lengths: Sequence[int], how: Learning) -> Iterator[list[int]]:
    """Batches of indices, of like length, until `how.tokens` are spent.

    If not even the first batch can be paid for, as many of its texts as can be make a batch.
    """
    if not lengths or how.tokens <= 0:
        return
    rng = np.random.default_rng(how.seed)
    spent = 0
    while True:
        order = rng.permutation(len(lengths))
        window = how.batch * 8
        batches = []
        for start in range(0, len(order), window):
            part = sorted(order[start : start + window], key=lambda i: lengths[i])
            batches += [part[i : i + how.batch] for i in range(0, len(part), how.batch)]
        for index in rng.permutation(len(batches)):
            batch = [int(i) for i in batches[index]]
            spent += sum(lengths[i] for i in batch)
            if spent > how.tokens:
                affordable = np.cumsum([lengths[i] for i in batch]) <= how.tokens
                if spent == sum(lengths[i] for i in batch) and affordable.any():
                    yield [i for i, fits in zip(batch, affordable, strict=True) if fits]
                return
            yield batch


def _schedule(step: int, steps: int) -> float:
    rising = max(1, round(steps * WARMUP))
    if step < rising:
        return (step + 1) / rising
    return 1.0 - 0.9 * (step - rising) / max(1, steps - rising)
