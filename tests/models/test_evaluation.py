"""Bits per byte and accuracy are what docs/metrics.md says they are."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest

from renga.models.contract import Sampling
from renga.models.evaluation import SPARE_TOKENS, evaluate, evaluate_domains
from renga.models.example import Example
from renga.models.generate import answer
from renga.models.local import LocalModel
from renga.models.scoring import bits_per_byte, encode_texts, log_likelihoods
from renga.models.text import normalised
from tests.models.tiny_weights import some_examples, tiny

KINDS = ["llama", "gemma3", "gemma2", "lfm2"]
ANY = pytest.mark.parametrize("kind", KINDS)
FREE = [example for example in some_examples() if example.response]
NAMES = ("the client", "no one", "a server of another kind", "b", "季語", "x y")
CLOSED = [
    Example("Who counts?", "no one", NAMES),
    Example("a", "b", ("b", "c")),
    Example("What does the quick brown fox jump over?", "季語", NAMES),
    Example("Which of them, and why, and since when?", "x", ("y", "x")),
    Example("?", "x y", NAMES[::-1]),
    Example("Who merges?", "the client", NAMES[:3]),
]


@pytest.fixture(scope="module")
def models():
    return {kind: LocalModel(tiny(kind)) for kind in KINDS}


def chosen(model, example):
    """The choice with the most log-likelihood per byte, each scored alone."""
    alone = [Example(example.prompt, choice) for choice in example.choices]
    scores = [log_likelihoods(model, encode_texts(model.weights, [text]))[0][:-1].sum() for text in alone]
    sizes = [len(choice.encode()) for choice in example.choices]
    return example.choices[int(np.argmax(np.array(scores) / np.array(sizes)))]


def bits_of(model, examples):
    sizes = np.array([len(example.response.encode()) for example in examples])
    return float((bits_per_byte(model, examples) * sizes).sum() / sizes.sum())


@ANY
@pytest.mark.parametrize("batch", [2, 16])
def test_choices_are_scored_as_if_each_stood_alone(models, kind, batch):
    model = models[kind]
    picks = [chosen(model, example) for example in CLOSED]
    scores = evaluate(model, CLOSED, batch=batch)
    right = sum(pick == example.response for pick, example in zip(picks, CLOSED, strict=True))
    assert scores.accuracy == right / len(CLOSED)
    assert scores.bits_per_byte == pytest.approx(bits_of(model, CLOSED), rel=1e-4)
    # The same, where every answer is the right one, and where none is.
    best = [Example(e.prompt, pick, e.choices) for e, pick in zip(CLOSED, picks, strict=True)]
    assert evaluate(model, best, batch=batch).accuracy == 1.0
    others = [next(c for c in e.choices if c != pick) for e, pick in zip(CLOSED, picks, strict=True)]
    worst = [Example(e.prompt, other, e.choices) for e, other in zip(CLOSED, others, strict=True)]
    assert evaluate(model, worst, batch=batch).accuracy == 0.0


def test_choices_of_one_token_each_are_told_apart(models):
    model = models["llama"]
    example = Example("a", "x", ("x", "y", "z"))
    assert all(len(ids) == 1 for ids in model.vocabulary.encode_many(example.choices))
    pick = chosen(model, example)
    assert evaluate(model, [Example("a", pick, example.choices)]).accuracy == 1.0


@ANY
def test_free_answers_are_right_when_they_say_the_same(models, kind):
    model = models[kind]
    examples = []
    for n, example in enumerate(FREE):
        said = answer(model, example.prompt, Sampling(max_tokens=SPARE_TOKENS + 8)) if n % 2 else "other"
        usable = said.strip() and "\ufffd" not in said
        examples.append(Example(example.prompt, f" {said}." if usable else example.response))
    expected = []
    for example in examples:
        tokens = len(model.vocabulary.encode(example.response))
        said = answer(model, example.prompt, Sampling(max_tokens=8 * -(-tokens // 8) + SPARE_TOKENS))
        expected.append(normalised(said) == normalised(example.response or ""))
    scores = evaluate(model, examples)
    assert scores.accuracy == sum(expected) / len(examples)
    assert scores.bits_per_byte == pytest.approx(bits_of(model, examples), rel=1e-4)


def test_a_free_answer_that_the_model_gives_is_right(models, monkeypatch):
    from renga.models import evaluation
    from renga.models.generate import Answered

    asked = []

    def answers(model, prompts, sampling, *, batch):
        asked.append((sorted(prompts), sampling.max_tokens))
        return [Answered("The client!" if prompt == "Who counts?" else "?", 1.0) for prompt in prompts]

    monkeypatch.setattr(evaluation, "answer_many", answers)
    scores = evaluate(models["llama"], FREE)
    assert scores.accuracy == 1 / len(FREE)
    assert sorted(prompt for prompts, _ in asked for prompt in prompts) == sorted(e.prompt for e in FREE)
    for prompts, tokens in asked:
        longest = [len(models["llama"].vocabulary.encode(e.response)) for e in FREE if e.prompt in prompts]
        assert max(longest) + SPARE_TOKENS <= tokens < max(longest) + SPARE_TOKENS + 8


@ANY
def test_a_mixed_set_is_the_sum_of_its_parts(models, kind):
    model = models[kind]
    ticks = []
    mixed = [*CLOSED[:3], *FREE, *CLOSED[3:]]
    scores = evaluate(model, mixed, tick=lambda *at: ticks.append(at))
    closed, free = evaluate(model, CLOSED), evaluate(model, FREE)
    assert scores.texts == len(mixed)
    parts = [(part.accuracy or 0.0) * part.texts for part in (closed, free)]
    assert scores.accuracy == pytest.approx(sum(parts) / len(mixed))
    assert scores.bits_per_byte == pytest.approx(bits_of(model, mixed), rel=1e-4)
    assert [done for done, _ in ticks] == sorted(done for done, _ in ticks)
    assert ticks[-1][0] == ticks[-1][1]


def test_without_accuracy_nothing_is_answered(models):
    model = models["llama"]
    passes = model.meter.passes
    scores = evaluate(model, [*CLOSED, *FREE], accuracy=False)
    assert model.meter.passes - passes == 1
    assert scores.accuracy is None
    assert scores.bits_per_byte == pytest.approx(bits_of(model, [*CLOSED, *FREE]), rel=1e-4)


def test_of_nothing_there_is_nothing(models):
    scores = evaluate(models["llama"], [])
    assert (scores.bits_per_byte, scores.accuracy, scores.texts) == (0.0, None, 0)


def test_domains_are_evaluated_each_for_itself(models):
    model = models["llama"]
    both = evaluate_domains(model, {"free": FREE, "closed": CLOSED})
    assert both == {"free": evaluate(model, FREE), "closed": evaluate(model, CLOSED)}
    assert both["free"].as_dict().keys() == {"bits_per_byte", "accuracy", "texts"}


def test_free_answers_are_not_written_where_nobody_wants_to_know(models, monkeypatch):
    from renga.models import evaluation

    model = models["llama"]
    full = evaluate_domains(model, {"free": FREE, "closed": CLOSED})
    monkeypatch.setattr(evaluation, "answer_many", None)
    found = evaluate_domains(model, {"free": FREE, "closed": CLOSED, "both": [*FREE, *CLOSED]}, free=False)
    assert found["free"].accuracy is None and found["both"].accuracy is None
    assert found["closed"].accuracy == full["closed"].accuracy
    assert found["free"].bits_per_byte == pytest.approx(full["free"].bits_per_byte, rel=1e-4)


def test_what_is_read_for_choices_is_counted_without_padding(models):
    model = models["llama"]
    example = CLOSED[0]
    w = model.weights
    before = model.meter.tokens
    evaluate(model, [example, Example("a much longer prompt than that", "no one", NAMES)])
    prompts = [example.prompt, "a much longer prompt than that"]
    read = [w.template.prompt_ids(w.tokenizer, prompt) for prompt in prompts]
    prompt_tokens = sum(map(len, read)) - len(list(takewhile(lambda ids: len(set(ids)) == 1, zip(*read))))
    choice_tokens = 2 * sum(len(ids) - 1 for ids in w.vocabulary.encode_many(NAMES))
    assert model.meter.tokens - before == prompt_tokens + choice_tokens
