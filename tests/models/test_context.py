"""Nothing is read beyond what a model reads: prompts are refused, answers end with a word, drafts cost
none."""

from functools import partial
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from renga.models.batching import BatchedModel
from renga.models.composed import Composed
from renga.models.context import TooLong, context_of
from renga.models.contract import Full, Prompt, Sampling, Scores
from renga.models.cooperation.compress import compressing
from renga.models.cooperation.layers import view
from renga.models.cooperation.retrieve import _contexts, retrieve
from renga.models.cooperation.speculate import speculate
from renga.models.ensemble.features import prompt_features
from renga.models.evaluation import evaluate
from renga.models.example import Example
from renga.models.generate import answer_many, generate
from renga.models.local import LocalModel
from tests.models import tiny_weights
from tests.models.tiny_weights import some_ids

KINDS = ["llama", "gpt2 in float64", "gemma3", "lfm2"]  # gpt2's positions end at 256, and would not be found
LONG = Prompt("word " * 300)
SAMPLED = Sampling(temperature=1.0, seed=3, max_tokens=400)


def tiny(kind):
    """Any of them, with a context of 256."""
    weights = tiny_weights.tiny(kind)
    weights.context = 256
    return weights


class Mean:
    def __call__(self, rows, places):
        return torch.stack(list(rows)).logsumexp(0).log_softmax(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_that_is_too_long_is_refused_before_anything_is_read(kind):
    model = LocalModel(tiny(kind))
    count = len(model.weights.template.ids_of(model.weights.tokenizer, LONG))
    made: list[Any] = [model, speculate(model, model), Composed([model, model], Mean())]
    if model.weights.keeps_keys:
        made += [BatchedModel(model.weights), view(model, 1)]
    for each in made:
        with pytest.raises(TooLong, match=f"{count:,} tokens long; tiny reads at most 256") as caught:
            list(generate(each, LONG, SAMPLED))
        assert "retrieve" in caught.value.message and "compress" in caught.value.message
    for call in (
        lambda: answer_many(model, [LONG.text], SAMPLED),
        lambda: prompt_features(model, [LONG.text]),
    ):
        with pytest.raises(TooLong):
            call()
    assert model.meter.passes == 0
    if model.weights.keeps_keys:
        made[3].close()


def test_a_batched_model_reads_what_it_is_told_to_and_no_more_than_it_can():
    weights = tiny("llama")
    assert [BatchedModel(weights, tokens=n).tokens for n in (100, 2048)] == [100, 256]
    with pytest.raises(TooLong, match="reads at most 100"):
        BatchedModel(weights, tokens=100).open_ids(some_ids(weights, 101))


@pytest.mark.parametrize("kind", ["llama", "gpt2 in float64"])
@pytest.mark.parametrize("batched", [False, True])
def test_an_answer_ends_where_the_model_can_read_no_more(kind, batched):
    weights = tiny(kind)
    model: Any = BatchedModel(weights) if batched else LocalModel(weights)
    session = model.open_ids(some_ids(weights, 250))
    assert session.feed(some_ids(weights, 6), Scores()).scores.shape == (6,)
    with pytest.raises(TooLong, match="fill all 256 tokens that tiny reads: the answer ends here"):
        session.feed([5])
    session.rewind(3)  # nothing was lost
    assert session.feed([5], Full()).logp.shape[0] == 2
    with pytest.raises(TooLong):
        session.feed(some_ids(weights, 4), Scores())


@pytest.mark.parametrize("how", [Sampling(max_tokens=400), SAMPLED])
@pytest.mark.parametrize("accept", ["shared", "rejection"])
@pytest.mark.parametrize("kind", ["local", "batched", "composed"])
def test_drafts_cost_no_word_at_the_end(how, accept, kind):
    weights = tiny("gpt2 in float64")
    weights.vocabulary.specials = frozenset()  # nothing ends it sooner
    weights.vocabulary.end = -1
    short = some_ids(weights, 244, seed=1)
    target: Any = BatchedModel(weights) if kind == "batched" else LocalModel(weights)
    drafter: Any = LocalModel(tiny("gpt2 in float64"))
    for model in (target, drafter):  # both begin behind the same ids
        model.open = partial(lambda opened, prompt: opened.open_ids(short), model)
    if kind == "composed":
        target = Composed([target, drafter], Mean())

    def said(model):
        found: list[int] = []
        answer = generate(model, Prompt("?"), how)
        with pytest.raises(TooLong):
            found.extend(answer)
        return found

    alone = said(target)
    assert len(alone) == 256 - 244 + 1
    drafted = said(speculate(drafter, target, length=8, accept=accept))
    assert len(drafted) == len(alone)
    if accept == "shared" or how.temperature == 0:
        assert drafted == alone


def test_answers_in_batches_end_there_too_and_are_unsure():
    model = LocalModel(tiny("gpt2 in float64"))
    base = len(model.weights.prompt_ids(""))
    prompts = ["a" * (253 - base), "b" * 20]
    assert len(model.weights.prompt_ids(prompts[0])) > 200
    many = answer_many(model, prompts, Sampling(max_tokens=80))
    alone = [answer_many(model, [prompt], Sampling(max_tokens=80))[0] for prompt in prompts]
    assert [a.text for a in many] == [a.text for a in alone]
    assert many[0].probability == 0.0


def test_what_can_not_be_read_is_not_answered_rightly():
    model = LocalModel(tiny("llama"))
    found = evaluate(model, [Example(LONG.text, "x"), Example("What?", "y")])
    assert found.accuracy == 0.0


def test_a_long_passage_is_retrieved_from_or_cut():
    model = LocalModel(tiny("llama"))
    assert _contexts(BatchedModel(model.weights, tokens=100)) == [100] and _contexts(model) == [256]
    cut = compressing(model, 40, method="truncate")
    assert list(cut.respond(Prompt(f"{LONG.text}\n\nWhy?"), Sampling(max_tokens=2))) is not None
    assert retrieve(model, [])._room == 128


def test_what_configurations_state():
    stretched = {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 1024,
        "rope_theta": 1e4,
    }
    assert context_of(LlamaConfig(max_position_embeddings=1024)) == 1024
    assert context_of(LlamaConfig(max_position_embeddings=1024, rope_parameters=stretched)) == 4096
    assert context_of(LlamaConfig(max_position_embeddings=4096, rope_parameters=stretched)) == 4096
    assert context_of(object()) is None
