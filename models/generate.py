"""Answers, derived from the contract: token by token for any model, in batches for local ones."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from renga.models.caching import handed
from renga.models.contract import Full, LanguageModel, Piece, Prompt, Sampling, Scores, Session, Verify
from renga.models.local import LocalModel
from renga.models.noise import Place, chosen
from renga.models.sampling import pick


class Emitting(Protocol):
    """A session that says several tokens at once, cheaper than one by one; see `emitted`."""

    def emit(self, pending: list[int], sampling: Sampling, place: Place, room: int) -> list[int]:
        """What the model says after `pending` (emitted, not read yet, and standing at `place`), at least one
        id, and no drafts beyond `room` of them."""
        ...


def generate(model: LanguageModel, prompt: Prompt, sampling: Sampling) -> Iterator[int]:
    """Ids of the answer, one at a time; the end token is not among them.

    Sampled by shared noise (`renga.models.noise`): the text is a matter of model, prompt and seed,
    and the same wherever the model runs.
    """
    session = model.open(prompt)
    try:
        pending: list[int] = []
        place, left = Place(), sampling.max_tokens
        while left > 0:
            new = emitted(model, session, pending, sampling, place, left)
            for id in pending + new[:-1]:
                place = place.after(model.vocabulary, id)
            for id in new[:left]:
                if id == model.vocabulary.end or id in model.vocabulary.specials:
                    return
                yield id
            left -= len(new)
            pending = new[-1:]
    finally:
        if (close := getattr(session, "close", None)) is not None:
            close()


def emitted(
    model: LanguageModel,
    session: Session,
    pending: list[int],
    sampling: Sampling,
    place: Place,
    room: int = 1,
) -> list[int]:
    """What `model` says next, at least one id; `session` has then read `pending` and all of it but the last.

    pending: what was emitted and not read yet, the first of it at `place`.
    """
    emit = getattr(session, "emit", None)
    if emit is not None:
        return list(emit(pending, sampling, place, room))
    behind = place
    for id in pending:
        behind = behind.after(model.vocabulary, id)
    if Verify not in model.offers:
        row = session.feed(pending, Full()).logp
        assert row is not None
        return [chosen(row[-1], model.vocabulary, sampling, behind)]
    return agreed(session, pending, [], sampling, place, behind)


def agreed(
    session: Session, pending: list[int], drafts: list[int], sampling: Sampling, place: Place, behind: Place
) -> list[int]:
    """What a session that offers Verify says after `pending`: as much of `drafts` as it would have said
    itself, and one more. `place`: of the first pending id; `behind`: of the first draft."""
    ids = session.feed(pending + drafts, Verify(sampling, place.offset, place.silent)).ids
    assert ids is not None
    said: list[int] = ids.tolist()
    if said[: len(pending)] == pending and len(said) > len(pending):
        return said[len(pending) :]
    # Asked again it would say otherwise, by the last bits of another kernel; what was said stands.
    session.feed(pending[len(said) - 1 :], Scores())
    again = session.feed(drafts, Verify(sampling, behind.offset, behind.silent)).ids
    assert again is not None
    return list(again.tolist())


def respond(model: LanguageModel, prompt: Prompt | str, sampling: Sampling) -> Iterator[Piece]:
    """The answer as text, streamed in whole characters: a character may span several tokens."""
    prompt = Prompt(prompt) if isinstance(prompt, str) else prompt
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in generate(model, prompt, sampling):
        if text := decoder.decode(model.vocabulary.token_bytes(token)):
            yield Piece(text)
    if text := decoder.decode(b"", final=True):
        yield Piece(text)


def answer(model: LanguageModel, prompt: Prompt | str, sampling: Sampling) -> str:
    """The whole answer as text."""
    return "".join(piece.text for piece in respond(model, prompt, sampling))


@dataclass(frozen=True)
class Answered:
    """An answer, and the probability with which its model gives exactly this one, its end included."""

    text: str
    probability: float


@torch.inference_mode()
def answer_many(
    model: LocalModel,
    prompts: Sequence[Prompt | str],
    sampling: Sampling,
    *,
    batch: int = 32,
    tick: Callable[[int, int], None] | None = None,
) -> list[Answered]:
    """One answer to each of `prompts`, generated in batches.

    The same answers as `answer` gives, up to the last bits of batched kernels; one seeded generator serves
    the whole call. Prompts are taken in order of length, so that batches need little padding. An answer that
    was cut at `max_tokens`, or where the model can read no more, has probability 0: its model has not ended
    it. Raises TooLong for a prompt of more than that.
    """
    weights = model.weights
    weights.wear(model.adapter)
    generator = torch.Generator().manual_seed(sampling.seed)
    encoded = [weights.prompt_ids(prompt) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(encoded[i]), i))
    answers: list[Answered] = [Answered("", 0.0)] * len(prompts)
    if not sampling.max_tokens:
        return answers
    if not weights.keeps_keys:
        batch = 1  # a state would take padding for text
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        continued = _continue([encoded[i] for i in chosen], model, sampling, generator)
        for i, (ids, logp) in zip(chosen, continued, strict=True):
            text = weights.vocabulary.bytes_of(ids).decode("utf-8", "replace")
            answers[i] = Answered(text, math.exp(logp))
        if tick:
            tick(start + len(chosen), len(prompts))
    return answers


def _continue(
    prompts: Sequence[Sequence[int]], model: LocalModel, sampling: Sampling, generator: torch.Generator
) -> list[tuple[list[int], float]]:
    """Ids after each prompt, without the end, and the natural log-probability of ids and end together."""
    weights = model.weights
    stops = torch.tensor(sorted(weights.vocabulary.specials | {weights.vocabulary.end}))
    running = torch.ones(len(prompts), dtype=torch.bool)
    total = torch.zeros(len(prompts))
    taken = [torch.full((len(prompts),), -1)]
    rows = _rows_after(prompts, model, sampling.max_tokens)
    logits = next(rows)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    for step in range(sampling.max_tokens):
        logp = logits.float().log_softmax(-1)
        tokens = pick(logp, sampling, generator)
        total += torch.where(running, logp.gather(1, tokens.unsqueeze(1)).squeeze(1), 0.0)
        running &= ~torch.isin(tokens, stops)
        taken.append(torch.where(running, tokens, -1))
        full = running & (lengths + step >= (weights.context or math.inf))
        total[full], running = -torch.inf, running & ~full
        if not running.any() or step + 1 == sampling.max_tokens:
            break
        logits = rows.send(tokens)
    total[running] = -torch.inf
    table = torch.stack(taken, dim=1).tolist()
    return [
        ([token for token in row if token >= 0], logp)
        for row, logp in zip(table, total.tolist(), strict=True)
    ]


def _rows_after(
    prompts: Sequence[Sequence[int]], model: LocalModel, room: int
) -> Generator[torch.Tensor, torch.Tensor, None]:
    """Logits after each prompt, [prompts, vocabulary]; sent a token for each, those after it."""
    weights = model.weights
    if not weights.keeps_keys:
        (prompt,) = prompts
        ids = torch.tensor([list(prompt)])
        while True:
            with weights.meter.reading(ids.shape[1]):
                output = weights.model(input_ids=ids, use_cache=False, logits_to_keep=1)
            tokens = yield output.logits[:, -1, : weights.vocabulary.size]
            ids = torch.cat([ids, tokens.unsqueeze(1)], dim=1)
    read = weights.read(prompts, room)
    mask, logits = read.mask, read.logits
    while True:
        tokens = yield logits
        mask = torch.cat([mask, torch.ones_like(tokens).unsqueeze(1)], dim=1)
        with weights.meter.reading(len(prompts)):
            output = weights.model(
                input_ids=tokens.unsqueeze(1),
                attention_mask=mask,
                position_ids=(mask.sum(1, keepdim=True) - 1).clamp(max=(weights.context or 2**31) - 1),
                **handed(read.cache, weights.model),
                use_cache=True,
                logits_to_keep=1,
            )
        logits = output.logits[:, -1, : weights.vocabulary.size]
