"""The two real models: sessions against transformers' own loop, batches as single texts, Gemma's window."""

from functools import cache

import pytest
import torch

from renga.models.contract import Prompt, Sampling, Scores
from renga.models.generate import answer, answer_many, generate
from renga.models.local import LocalModel
from tests.models.tiny_weights import plain_rows

pytestmark = pytest.mark.real

QUESTION = "What is the capital of Japan, and what is it known for?"
NEAR = 1e-3  # below this margin, kernels of other shapes may turn an argmax over


@pytest.fixture(scope="module")
def load():
    return cache(LocalModel.load)


@pytest.fixture(params=["SmolLM2-135M-Instruct", "gemma-3-270m"])
def model(request, load):
    return load(request.param)


@torch.inference_mode()
def test_a_session_answers_as_transformers_does(model):
    weights = model.weights
    ids = weights.template.prompt_ids(weights.tokenizer, QUESTION)
    oracle = weights.model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0, len(ids) :]
    ours = list(generate(model, Prompt(QUESTION), Sampling(max_tokens=12)))
    assert ours == oracle.tolist()[: len(ours)]
    assert len(ours) == 12 or int(oracle[len(ours)]) == model.vocabulary.end


@torch.inference_mode()
def test_a_session_cut_back_in_its_answer_is_a_fresh_one(model):
    session = model.open(Prompt(QUESTION))
    ids = model.vocabulary.encode("The capital is Tokyo, which is known for its gardens.")
    first = session.feed(ids, Scores()).scores
    for length in (len(ids) - 1, 4, 0):
        session.rewind(length)
        again = session.feed(ids[length:], Scores()).scores
        assert torch.allclose(again, first[length:], rtol=0, atol=NEAR)


def test_batched_answers_are_single_ones(load):
    model = load("SmolLM2-135M-Instruct")
    prompts = ["What is 2 + 2?", QUESTION, "Name a colour."]
    how = Sampling(max_tokens=10)
    many = [each.text for each in answer_many(model, prompts, how)]
    single = [answer(model, prompt, how) for prompt in prompts]
    for prompt, one, other in zip(prompts, many, single, strict=True):
        assert one == other or flips(model, prompt, one, other)


def flips(model, prompt, one, other):
    """Whether two answers part where the best two tokens are as good as equal."""
    a, b = model.vocabulary.encode(one), model.vocabulary.encode(other)
    common = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    best = model.open(Prompt(prompt)).feed(a[:common]).logp[-1].topk(2).values
    return float(best[0] - best[1]) < NEAR


def test_gemma_forgets_nothing_beyond_its_window(load):
    """600 tokens where a sliding layer sees 512: cut back, gone on, and the same as one plain forward."""
    model = load("gemma-3-270m")
    text = " ".join(
        f"The {n}th of the linked verses was written by poet number {7 * n % 31}." for n in range(45)
    )
    ids = model.vocabulary.encode(text)[:620]
    assert len(ids) == 620
    prompt, rest = ids[:560], ids[560:]
    oracle = plain_rows(model.weights, ids[:600], last=41)  # from the prompt's end on
    session = model.open_ids(prompt)
    session.feed(rest, Scores())
    session.rewind(10)
    ours = session.feed(rest[10:40]).logp
    assert torch.allclose(ours, oracle[10:], rtol=0, atol=5e-3)
    assert torch.equal(ours.argmax(-1), oracle[10:].argmax(-1))
    session.rewind(0)
    assert torch.allclose(session.feed(rest[:1]).logp, oracle[:2], rtol=0, atol=5e-3)
    # A batch of unequal lengths whose common beginning is longer than the window says the same.
    with torch.inference_mode():
        batch = model.weights.logits([ids[:600], ids[:563]], [31, 3]).log_softmax(-1)
    assert torch.allclose(batch, torch.cat([oracle[10:], oracle[1:4]]), rtol=0, atol=5e-3)
