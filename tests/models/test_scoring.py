"""What texts cost a model: by hand, in any batches, in any order."""

import math

import numpy as np
import pytest
import torch

from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import batches_by_length, bits_per_byte, encode_texts, log_likelihoods, rows_of
from tests.models.tiny_weights import plain_rows, random_adapter, some_examples, tiny

KINDS = ["llama", "gemma3", "gemma2", "lfm2"]
ANY = pytest.mark.parametrize("kind", KINDS)
EXAMPLES = some_examples()
LONG = "again and again " * 6


@pytest.fixture(scope="module")
def models():
    return {kind: LocalModel(tiny(kind)) for kind in KINDS}


def by_hand(model, example):
    """Natural logs of the response's tokens and its end, by one plain forward."""
    w = model.weights
    w.wear(model.adapter)
    prompt = w.template.prompt_ids(w.tokenizer, example.prompt)
    response = [*w.vocabulary.encode(example.response), w.vocabulary.end]
    rows = plain_rows(w, prompt + response[:-1])[len(prompt) - 1 :]
    return [float(rows[i, id]) for i, id in enumerate(response)]


@ANY
def test_bits_per_byte_are_those_by_hand(models, kind):
    model = models[kind]
    ours = bits_per_byte(model, EXAMPLES)
    for example, bits in zip(EXAMPLES, ours, strict=True):
        size = len((example.response or "").encode())
        expected = -sum(by_hand(model, example)[:-1]) / math.log(2) / size if size else 0.0
        assert bits == pytest.approx(expected, rel=1e-4)


@ANY
@pytest.mark.parametrize("batch", [1, 4])
def test_neither_batches_nor_order_change_a_text(models, kind, batch):
    model = models[kind]
    order = np.random.default_rng(batch).permutation(len(EXAMPLES))
    whole = bits_per_byte(model, EXAMPLES)
    assert bits_per_byte(model, [EXAMPLES[i] for i in order], batch=batch) == pytest.approx(
        whole[order], rel=1e-4
    )


@ANY
def test_texts_of_one_instruction_are_read_as_if_each_stood_alone(models, kind):
    """A long common beginning, longer than a window, and responses of very different lengths."""
    model = models[kind]
    examples = [Example(LONG + end, response) for end, response in [("?", "a"), ("!", LONG), ("", "b c")]]
    alone = [bits_per_byte(model, [example])[0] for example in examples]
    assert bits_per_byte(model, examples) == pytest.approx(alone, rel=1e-4)
    assert alone[1] == pytest.approx(
        -sum(by_hand(model, examples[1])[:-1]) / math.log(2) / len(LONG), rel=1e-4
    )


@ANY
def test_log_likelihoods_go_by_token_the_end_included(models, kind):
    model = models[kind]
    scores = log_likelihoods(model, encode_texts(model.weights, EXAMPLES), batch=4)
    for example, score in zip(EXAMPLES, scores, strict=True):
        assert score == pytest.approx(by_hand(model, example), abs=1e-3)


@ANY
def test_rows_agree_with_bits_per_byte(models, kind):
    model = models[kind]
    bits = bits_per_byte(model, EXAMPLES)
    size = model.vocabulary.size
    for example, expected, rows in zip(
        EXAMPLES, bits, rows_of(model, EXAMPLES, top_k=size, floor=0.0, batch=4), strict=True
    ):
        response = (example.response or "").encode()
        rows.check(size, len(response), (model.vocabulary, response))
        if response:
            assert rows.bits_per_byte == pytest.approx(expected, rel=1e-4)
        w = model.weights
        prompt = w.template.prompt_ids(w.tokenizer, example.prompt)
        plain = plain_rows(w, [*prompt, *rows.gold[:-1].tolist()])[len(prompt) - 1 :]
        listed = np.repeat(np.arange(len(rows.counts)), rows.counts)
        assert np.allclose(rows.logp, plain.numpy()[listed, rows.ids], atol=1e-3)


def test_an_adapter_scores_for_itself(models):
    model = models["llama"]
    tuned = LocalModel(model.weights, random_adapter(model.weights))
    bare = bits_per_byte(model, EXAMPLES)
    assert not np.allclose(bits_per_byte(tuned, EXAMPLES), bare, rtol=0.05)
    assert np.array_equal(bits_per_byte(model, EXAMPLES), bare)


def test_progress_reaches_its_end(models):
    ticks = []
    bits_per_byte(models["llama"], EXAMPLES, batch=4, tick=lambda *at: ticks.append(at))
    assert ticks == [(4, 6), (6, 6)]


def test_of_nothing_there_is_nothing(models):
    model = models["llama"]
    assert bits_per_byte(model, []).shape == (0,)
    assert rows_of(model, [], top_k=4, floor=0.0) == []


def test_batches_hold_every_text_once_and_the_longest_first():
    lengths = [3, 9, 1, 9, 5, 2, 2]
    batches = batches_by_length(lengths, 3)
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert [lengths[i] for batch in batches for i in batch] == sorted(lengths, reverse=True)
    assert [len(batch) for batch in batches] == [3, 3, 1]


def test_what_is_worn_leaves_no_gradients_behind(models):
    w = models["llama"].weights
    w.wear(random_adapter(w))
    texts = encode_texts(w, EXAMPLES[:2])
    assert torch.is_grad_enabled()
    assert not w.logits([texts[0].prompt], [1]).requires_grad
