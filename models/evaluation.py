"""Bits per byte and accuracy, defined once (docs/metrics.md says it in words).

* Bits per byte: the negative log2-likelihood of the response given the prompt, over all texts, divided by
  the responses' bytes. The end token is not counted.
* Accuracy with choices: the choice with the highest log-likelihood per byte is the right one.
* Accuracy of free answers: the greedy answer equals the response after `normalised`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from renga.models.caching import handed
from renga.models.contract import Sampling
from renga.models.example import Example
from renga.models.generate import answer_many
from renga.models.local import LocalModel
from renga.models.scoring import Tick, bits_per_byte, encode_texts, log_likelihoods
from renga.models.text import normalised

# A free answer may run this many tokens beyond the longest right one: enough for articles and punctuation.
SPARE_TOKENS = 4


@dataclass(frozen=True)
class Scores:
    """How well a model knows some texts. `accuracy` is None where it was not asked for."""

    bits_per_byte: float
    accuracy: float | None
    texts: int

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


def evaluate(
    model: LocalModel,
    examples: Sequence[Example],
    *,
    batch: int = 16,
    accuracy: bool = True,
    tick: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score `examples`, all with responses, in batches of `batch` texts."""
    return evaluate_domains(model, {"": examples}, batch=batch, accuracy=accuracy, tick=tick)[""]


def evaluate_domains(
    model: LocalModel,
    domains: Mapping[str, Sequence[Example]],
    *,
    batch: int = 16,
    accuracy: bool = True,
    free: bool = True,
    tick: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """`evaluate` for each domain. Batches are made of all domains together: few small ones cost more.

    Without `free` no answers are generated: a domain with a text that has no choices then has no accuracy.
    """
    examples = [example for texts in domains.values() for example in texts]
    bits, right = measured(model, examples, batch, accuracy, free, tick)
    scores, start = {}, 0
    for name, texts in domains.items():
        place = slice(start, start + len(texts))
        size = sum(len((example.response or "").encode()) for example in texts)
        asked = accuracy and texts and (free or all(example.choices for example in texts))
        share = float(right[place].mean()) if asked else None
        scores[name] = Scores(float(bits[place].sum()) / max(1, size), share, len(texts))
        start += len(texts)
    return scores


def measured(
    model: LocalModel,
    examples: Sequence[Example],
    batch: int = 16,
    accuracy: bool = True,
    generate: bool = True,
    tick: Tick | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each example the bits of its response, and whether the model gets it right (False if not asked)."""
    bits, right = np.zeros(len(examples)), np.zeros(len(examples), bool)
    closed = [i for i, example in enumerate(examples) if example.choices and accuracy]
    free = [i for i, example in enumerate(examples) if not (example.choices and accuracy)]
    generate = generate and accuracy
    progress = _Progress(tick, len(examples) + (len(free) if generate else 0))
    if closed:
        texts = [examples[i] for i in closed]
        bits[closed], right[closed] = _score_choices(model, texts, batch, progress.within())
    if free:
        texts = [examples[i] for i in free]
        sizes = np.array([len((example.response or "").encode()) for example in texts])
        bits[free] = bits_per_byte(model, texts, batch=batch, tick=progress.within()) * sizes
        if generate:
            right[free] = _free_answers_right(model, texts, batch, progress.within())
    return bits, right


class _Progress:
    """Counts texts over the parts of one evaluation."""

    def __init__(self, tick: Tick | None, total: int) -> None:
        self._tick = tick
        self._total = total
        self._before = 0

    def within(self) -> Tick:
        before = self._before

        def step(done: int, _: int) -> None:
            self._before = before + done
            if self._tick:
                self._tick(self._before, self._total)

        return step


def _free_answers_right(model: LocalModel, examples: Sequence[Example], batch: int, tick: Tick) -> np.ndarray:
    """Whether the greedy answer to each example is its response: [examples] bool. To a prompt that is longer
    than the model reads there is none."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        if not model.weights.reads(example.prompt):
            continue
        tokens = len(model.vocabulary.encode(example.response or ""))
        by_length[8 * math.ceil(tokens / 8)].append(place)
    right = np.zeros(len(examples), bool)
    done = len(examples) - sum(map(len, by_length.values()))
    for tokens, group in sorted(by_length.items()):
        sampling = Sampling(temperature=0.0, max_tokens=tokens + SPARE_TOKENS)
        answers = answer_many(model, [examples[i].prompt for i in group], sampling, batch=batch)
        for place, answer in zip(group, answers, strict=True):
            right[place] = normalised(answer.text) == normalised(examples[place].response or "")
        done += len(group)
        tick(done, len(examples))
    return right


@torch.inference_mode()
def _score_choices(
    model: LocalModel, examples: Sequence[Example], batch: int, tick: Tick
) -> tuple[np.ndarray, np.ndarray]:
    """Bits of each right choice, and whether it was picked. A prompt is read once for all its choices."""
    model.weights.wear(model.adapter)
    by_count: dict[int, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        by_count[len(example.choices)].append(place)
    bits, right, done = np.zeros(len(examples)), np.zeros(len(examples), bool), 0
    for count, group in sorted(by_count.items()):
        group = sorted(group, key=lambda place: len(examples[place].prompt))
        step = max(1, batch * 4 // count)
        for start in range(0, len(group), step):
            part = group[start : start + step]
            likelihood = _choice_log_likelihoods(model, [examples[i] for i in part], batch)
            for place, row in zip(part, likelihood, strict=True):
                choices = examples[place].choices
                sizes = np.array([max(1, len(choice.encode())) for choice in choices])
                gold = choices.index(examples[place].response or "")
                right[place] = int(np.argmax(row / sizes)) == gold
                bits[place] = -float(row[gold]) / math.log(2)
            done += len(part)
            tick(done, len(examples))
    return bits, right


def _choice_log_likelihoods(model: LocalModel, examples: Sequence[Example], batch: int) -> np.ndarray:
    """Natural log-likelihood of every choice: [examples, choices]. All have the same number of choices."""
    weights, count = model.weights, len(examples[0].choices)
    if not weights.keeps_keys:
        alone = [Example(example.prompt, choice) for example in examples for choice in example.choices]
        scores = log_likelihoods(model, encode_texts(weights, alone), batch=batch)
        return np.array([score[:-1].sum() for score in scores]).reshape(-1, count)
    prompts = [weights.template.prompt_ids(weights.tokenizer, example.prompt) for example in examples]
    choices = weights.vocabulary.encode_many([c for example in examples for c in example.choices])
    read = weights.read(prompts, max(map(len, choices)))
    first = read.logits.float().log_softmax(-1).repeat_interleave(count, 0)

    longest = max(map(len, choices))
    table = torch.zeros((len(choices), longest), dtype=torch.long)
    real = torch.zeros_like(table)
    for row, choice in enumerate(choices):
        table[row, : len(choice)] = torch.tensor(choice)
        real[row, : len(choice)] = 1
    picked = first.gather(1, table[:, :1])
    if longest > 1:
        read.cache.batch_repeat_interleave(count)
        mask = read.mask
        lengths = mask.sum(1).repeat_interleave(count).unsqueeze(1)
        with weights.meter.reading(int(real.sum()) - len(choices)):
            later = weights.logits_at(
                real[:, 1:].bool(),
                input_ids=table[:, :-1],
                attention_mask=torch.cat([mask.repeat_interleave(count, 0), real[:, :-1]], dim=1),
                position_ids=lengths + torch.arange(longest - 1),
                **handed(read.cache, weights.model),
                use_cache=True,
            )
            more = picked.new_zeros(len(choices), longest - 1)
            gold = table[:, 1:][real[:, 1:].bool()]
            more[real[:, 1:].bool()] = -torch.nn.functional.cross_entropy(
                later.float(), gold, reduction="none"
            )
        picked = torch.cat([picked, more], dim=1)
    likelihood: np.ndarray = (picked * real).sum(1).view(len(examples), count).double().numpy()
    return likelihood
