"""Answers: those of transformers' own loop where it can give them, in batches as one by one."""

import math
from itertools import takewhile

import pytest
import torch
from hypothesis import given, settings

from renga.models.contract import Answer, Full, Piece, Prompt, Sampling
from renga.models.generate import answer, answer_many, generate, respond
from renga.models.local import LocalModel
from tests.models.tiny_tokenizers import CORPUS, texts, vocabulary
from tests.models.tiny_weights import plain_rows, random_adapter, tiny

KINDS = ["llama", "gemma3", "gemma2", "lfm2", "starcoder2 in float64"]
ANY = pytest.mark.parametrize("kind", KINDS)
PROMPTS = ["Who counts?", "a", "The quick brown fox jumps over the lazy dog, and why?", "連歌 🎋", "b", ""]


@pytest.fixture(scope="module")
def models():
    return {kind: LocalModel(tiny(kind)) for kind in KINDS}


def oracle(model, prompt, tokens):
    """Greedy ids by transformers' loop, which reads the whole text again for every token."""
    weights = model.weights
    ids = weights.template.prompt_ids(weights.tokenizer, prompt)
    stops = sorted(weights.vocabulary.specials)
    model.weights.wear(model.adapter)
    with torch.inference_mode():
        whole = weights.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=tokens,
            do_sample=False,
            use_cache=False,
            eos_token_id=stops,
            pad_token_id=0,
            # Rows of the output that name no token.
            suppress_tokens=list(range(weights.vocabulary.size, weights.model.config.vocab_size)) or None,
        )[0, len(ids) :].tolist()
    return [id for id in whole if id not in weights.vocabulary.specials]


@ANY
def test_greedy_answers_are_those_of_transformers(models, kind):
    model = models[kind]
    for prompt in PROMPTS:
        assert list(generate(model, Prompt(prompt), Sampling(max_tokens=12))) == oracle(model, prompt, 12)


@ANY
@pytest.mark.parametrize("batch", [1, 4])
def test_greedy_answers_in_batches_are_those_of_one_by_one(models, kind, batch):
    model = models[kind]
    how = Sampling(max_tokens=10)
    many = answer_many(model, PROMPTS, how, batch=batch)
    assert [each.text for each in many] == [answer(model, prompt, how) for prompt in PROMPTS]


def test_an_adapter_answers_for_itself(models):
    model = models["llama"]
    tuned = LocalModel(model.weights, random_adapter(model.weights))
    how = Sampling(max_tokens=8)
    for prompt in PROMPTS[:2]:
        assert list(generate(tuned, Prompt(prompt), how)) == oracle(tuned, prompt, 8)
    worn = [each.text for each in answer_many(tuned, PROMPTS, how)]
    bare = [each.text for each in answer_many(model, PROMPTS, how)]
    assert worn == [answer(tuned, prompt, how) for prompt in PROMPTS]
    assert bare == [answer(model, prompt, how) for prompt in PROMPTS] != worn


def ending(kind, after):
    """A model for which each answer's end has some probability: its end's output row is raised."""
    weights = tiny(kind)
    head = torch.nn.Linear(32, weights.model.get_output_embeddings().weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weights.model.get_output_embeddings().weight)
        head.bias.zero_()
        head.bias[weights.vocabulary.end] = after
    weights.model.set_output_embeddings(head.requires_grad_(False))
    return LocalModel(weights)


def test_an_answers_probability_is_that_of_its_tokens_and_its_end():
    model = ending("llama", 6.0)
    weights = model.weights
    how = Sampling(temperature=1.0, max_tokens=6, seed=3)
    given_ = answer_many(model, PROMPTS * 3, how)
    ended = [each for each in given_ if each.probability > 0]
    assert 0 < len(ended) < len(given_)  # both kinds are seen
    greedy = answer_many(model, PROMPTS, Sampling(max_tokens=6))
    for prompt, each in zip(PROMPTS, greedy, strict=True):
        ids = list(generate(model, Prompt(prompt), Sampling(max_tokens=6)))
        if len(ids) == 6:
            assert each.probability == 0.0  # cut, not ended
            continue
        read = weights.template.prompt_ids(weights.tokenizer, prompt)
        rows = plain_rows(weights, read + ids)[len(read) - 1 :]
        logp = sum(float(rows[i, id]) for i, id in enumerate([*ids, weights.vocabulary.end]))
        assert each.probability == pytest.approx(math.exp(logp), rel=1e-3)


@ANY
def test_sampled_answers_are_their_seeds(models, kind):
    model = models[kind]
    first, again, other = (
        [list(generate(model, Prompt(p), Sampling(temperature=1.5, max_tokens=8, seed=s))) for p in PROMPTS]
        for s in (1, 1, 2)
    )
    assert first == again != other
    how = Sampling(temperature=1.5, max_tokens=8, seed=1)
    assert answer_many(model, PROMPTS, how, batch=3) == answer_many(model, PROMPTS, how, batch=3)


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_no_more_tokens_than_allowed_are_made_or_paid_for(models, tokens):
    model = models["gemma3"]
    how = Sampling(max_tokens=tokens)
    prompt = model.weights.template.prompt_ids(model.weights.tokenizer, "a")
    for make in (lambda: list(generate(model, Prompt("a"), how)), lambda: answer_many(model, ["a"], how)):
        passes, read = model.meter.passes, model.meter.tokens
        make()
        assert model.meter.passes - passes == tokens
        assert model.meter.tokens - read == (len(prompt) + tokens - 1 if tokens else 0)
    assert len(list(generate(model, Prompt("a"), how))) == tokens


def test_padding_is_not_read_and_what_all_begin_with_is_read_once(models):
    model = models["llama"]
    prompts = [model.weights.template.prompt_ids(model.weights.tokenizer, p) for p in PROMPTS]
    shared = len(list(takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts))))
    assert shared > 4
    before = model.meter.tokens
    answer_many(model, PROMPTS, Sampling(max_tokens=1))
    assert model.meter.tokens - before == sum(map(len, prompts)) - (len(prompts) - 1) * shared


def test_nothing_is_answered_to_nothing(models):
    assert answer_many(models["llama"], [], Sampling()) == []
    assert [each.text for each in answer_many(models["llama"], ["a"], Sampling(max_tokens=0))] == [""]


def test_progress_is_told(models):
    ticks = []
    answer_many(models["llama"], PROMPTS, Sampling(max_tokens=1), batch=4, tick=lambda *at: ticks.append(at))
    assert ticks == [(4, 6), (6, 6)]


class Script:
    """A model that says one text whatever it is asked, and no more than the contract has."""

    offers = frozenset({Full})

    def __init__(self, kind, ids):
        self.vocabulary = vocabulary(kind)
        self.ids = [*ids, self.vocabulary.end]
        self.read = 0

    def open(self, prompt):
        return self

    def feed(self, ids, want=None):
        self.read += len(ids)
        rows = torch.full((len(ids) + 1, self.vocabulary.size), -torch.inf)
        rows[-1, self.ids[self.read]] = 0.0
        return Answer(logp=rows)


@pytest.mark.parametrize("kind", ["bytes-small", "bytes-large", "metaspace", "unigram"])
@settings(max_examples=50, deadline=None)
@given(text=texts())
def test_pieces_are_whole_characters_and_together_the_answer(kind, text):
    pieces = list(respond(Script(kind, vocabulary(kind).encode(text)), "?", Sampling(max_tokens=10**6)))
    assert all(isinstance(piece, Piece) and piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces) == text  # no character was replaced, so none was split


def test_text_is_streamed_as_soon_as_it_is_whole():
    model = Script("bytes-small", vocabulary("bytes-small").encode("a🎋b"))
    spans = len(model.ids) - 3
    assert spans > 1
    seen = [(piece.text, model.read) for piece in respond(model, "?", Sampling())]
    assert seen == [("a", 0), ("🎋", spans), ("b", spans + 1)]  # what was read when its last token was picked


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_random_bytes_make_the_same_text_streamed_or_in_a_batch(models, kind):
    """What is no UTF-8 is replaced in the same way."""
    model = models[kind]
    how = Sampling(max_tokens=20)
    for prompt in PROMPTS[:3]:
        ids = list(generate(model, Prompt(prompt), how))
        whole = model.vocabulary.bytes_of(ids).decode("utf-8", "replace")
        assert "".join(piece.text for piece in respond(model, prompt, how)) == whole
        assert answer_many(model, [prompt], how)[0].text == whole


def test_an_answer_can_be_left_before_its_end():
    model = Script("bytes-small", vocabulary("bytes-small").encode(CORPUS[0]))
    assert next(iter(respond(model, "?", Sampling()))).text == CORPUS[0][0]
    assert model.read == 0
