"""Sessions: however they were fed, cut back and interleaved, their rows are those of one plain forward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from renga.models import local
from renga.models.contract import Full, Prompt, Scores, TopK
from renga.models.local import LocalModel
from tests.models.tiny_weights import plain_rows, random_adapter, some_ids, tiny

TOLERANCE = {
    "gpt2 in float64": 1e-10,
    "starcoder2 in float64": 1e-10,
    "llama": 1e-4,
    "gemma3": 1e-4,
    "lfm2": 1e-4,
}
ANY = pytest.mark.parametrize("kind", TOLERANCE)
WINDOWED = pytest.mark.parametrize("kind", ["starcoder2 in float64", "gemma3"])  # windows of 8


@pytest.fixture(scope="module")
def models():
    return {kind: LocalModel(tiny(kind)) for kind in TOLERANCE}


def close(kind, ours, theirs):
    assert ours.dtype == (torch.float64 if "float64" in kind else torch.float32)
    assert ours.shape == theirs.shape
    return torch.allclose(ours, theirs, rtol=0, atol=TOLERANCE[kind])


@ANY
def test_in_one_chunk_or_token_by_token_the_rows_are_those_of_one_forward(models, kind):
    model = models[kind]
    prompt, ids = some_ids(model.weights, 13), some_ids(model.weights, 12, seed=1)
    oracle = plain_rows(model.weights, prompt + ids)[len(prompt) - 1 :]
    whole = model.open_ids(prompt).feed(ids).logp
    assert close(kind, whole, oracle)
    session = model.open_ids(prompt)
    single = [session.feed([]).logp]
    for id in ids:
        rows = session.feed([id]).logp
        assert torch.equal(rows[0], single[-1][-1])  # the current place first
        single.append(rows[1:])
    assert close(kind, torch.cat(single), oracle)
    assert session.length == len(ids)


@ANY
def test_feeding_nothing_gives_the_current_place_again(models, kind):
    model = models[kind]
    session = model.open_ids(some_ids(model.weights, 3))
    for ids in ([], some_ids(model.weights, 4)):
        last = session.feed(ids).logp[-1:]
        for _ in range(2):
            assert torch.equal(session.feed([]).logp, last)


@ANY
def test_rewound_to_any_length_it_is_a_fresh_session(models, kind):
    model = models[kind]
    prompt, ids, other = (some_ids(model.weights, n, seed=n) for n in (9, 14, 5))
    for length in range(len(ids) + 1):
        session = model.open_ids(prompt)
        session.feed(ids)
        session.rewind(length)
        assert session.length == length
        oracle = plain_rows(model.weights, prompt + ids[:length] + other)[len(prompt) + length - 1 :]
        assert close(kind, session.feed(other).logp, oracle)


@ANY
@settings(max_examples=20, deadline=None)
@given(
    prompt=st.integers(1, 20),
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=10),
    seed=st.integers(0, 99),
)
def test_any_moves_leave_the_rows_of_what_was_read(models, kind, prompt, moves, seed):
    model = models[kind]
    start = some_ids(model.weights, prompt, seed)
    read: list[int] = []
    session = model.open_ids(start)
    for at, (feeds, amount) in enumerate(moves):
        if feeds:
            ids = some_ids(model.weights, amount, seed + at)
            rows = session.feed(ids).logp
            oracle = plain_rows(model.weights, start + read + ids)[prompt + len(read) - 1 :]
            assert close(kind, rows, oracle)
            read += ids
        else:
            session.rewind(max(0, len(read) - amount))
            read = read[: session.length]
        assert session.length == len(read)


@WINDOWED
def test_a_long_context_is_cut_back_across_the_window(models, kind):
    model = models[kind]
    prompt, ids, other = (some_ids(model.weights, n, seed=n) for n in (30, 40, 20))
    session = model.open_ids(prompt)
    for length in (40, 33, 12, 3, 0):
        session.feed(ids[session.length :])
        session.rewind(length)
        oracle = plain_rows(model.weights, prompt + ids[:length] + other)[len(prompt) + length - 1 :]
        assert close(kind, session.feed(other).logp, oracle)
        session.rewind(length)


@WINDOWED
def test_known_wrong_a_cache_that_knows_the_window_can_not_be_cut_back(models, kind, monkeypatch):
    config = models[kind].weights.model.config
    monkeypatch.setattr(local, "_empty_cache", lambda: DynamicCache(config=config))
    with pytest.raises((AssertionError, RuntimeError)):
        test_a_long_context_is_cut_back_across_the_window(models, kind)


@ANY
def test_best_and_tail_are_the_whole_mass(models, kind):
    model = models[kind]
    prompt, ids = some_ids(model.weights, 5), some_ids(model.weights, 6, seed=1)
    full = model.open_ids(prompt).feed(ids, Full()).logp
    for k in (1, 8, model.vocabulary.size - 1, model.vocabulary.size, 10**6):
        best = model.open_ids(prompt).feed(ids, TopK(k))
        assert best.logp.shape == best.ids.shape == (7, min(k, model.vocabulary.size))
        assert torch.equal(full.gather(1, best.ids), best.logp)
        assert bool((best.logp.diff(dim=1) <= 0).all())
        whole = best.logp.exp().sum(1) + best.tail.exp()
        assert torch.allclose(whole, torch.ones_like(whole), rtol=0, atol=1e-5)
        others = full.scatter(1, best.ids, -torch.inf).logsumexp(1)
        assert torch.allclose(best.tail, others, rtol=1e-4, atol=0)  # however small


@ANY
def test_scores_are_the_rows_of_what_is_fed(models, kind):
    model = models[kind]
    prompt, ids = some_ids(model.weights, 5), some_ids(model.weights, 6, seed=1)
    rows = model.open_ids(prompt).feed(ids).logp
    session = model.open_ids(prompt)
    scores = torch.cat([session.feed(part, Scores()).scores for part in (ids[:1], [], ids[1:4], ids[4:])])
    assert close(kind, scores, rows[:-1].gather(1, torch.tensor(ids)[:, None])[:, 0])


def test_a_model_whose_state_can_not_be_cut_reads_again(models):
    model = models["lfm2"]
    assert [kind for kind in TOLERANCE if not models[kind].weights.keeps_keys] == ["lfm2"]
    prompt, ids, other = (some_ids(model.weights, n, seed=n) for n in (5, 6, 4))
    session = model.open_ids(prompt)
    session.feed(ids)
    before = model.meter.tokens
    session.rewind(2)
    rows = session.feed(other).logp
    assert model.meter.tokens - before == len(prompt) + 2 + len(other)
    oracle = plain_rows(model.weights, prompt + ids[:2] + other)[len(prompt) + 1 :]
    assert close("lfm2", rows, oracle)
    assert close("lfm2", session.feed([ids[0]]).logp[:1], oracle[-1:])


def test_a_model_that_says_it_is_stateful_is_believed(monkeypatch):
    weights = tiny("llama")
    monkeypatch.setattr(type(weights.model), "_is_stateful", True, raising=False)
    assert not weights.keeps_keys
    session = LocalModel(weights).open_ids([5, 6])
    session.feed([7])
    session.feed([8])
    assert weights.meter.tokens == 3 + 4


def test_nothing_is_read_twice_but_the_place_of_a_rewind(models):
    model = models["llama"]
    session = model.open_ids(some_ids(model.weights, 10))

    def cost(act):
        passes, tokens = model.meter.passes, model.meter.tokens
        act()
        return model.meter.passes - passes, model.meter.tokens - tokens

    ids = some_ids(model.weights, 8)
    assert cost(lambda: session.feed([])) == (1, 10)
    assert cost(lambda: session.feed([])) == (0, 0)
    assert cost(lambda: session.feed(ids)) == (1, 8)
    assert cost(lambda: session.rewind(8)) == (0, 0)
    assert cost(lambda: session.feed(ids[:1])) == (1, 1)
    assert cost(lambda: session.rewind(4)) == (0, 0)
    assert cost(lambda: session.feed(ids[:3])) == (1, 4)


@pytest.mark.parametrize("length", [-1, 4])
def test_nothing_is_rewound_to_where_nobody_was(models, length):
    session = models["llama"].open_ids([5])
    session.feed([6, 7, 8])
    with pytest.raises(ValueError, match="can't rewind"):
        session.rewind(length)


def test_a_session_that_has_read_nothing_has_no_first_row(models):
    with pytest.raises(ValueError, match="at least one id"):
        models["llama"].open_ids([])


def test_a_prompt_is_read_in_the_models_own_template(models):
    model = models["llama"]
    ids = model.weights.template.prompt_ids(model.weights.tokenizer, "Who counts?")
    rows = model.open(Prompt("Who counts?")).feed([]).logp
    assert close("llama", rows, plain_rows(model.weights, ids)[-1:])


def test_sessions_with_different_adapters_do_not_disturb_each_other():
    weights = tiny("llama")
    shapes = [(2, "all"), (3, "attention"), (2, "all")]
    adapters = [None, *(random_adapter(weights, n, rank, which) for n, (rank, which) in enumerate(shapes))]
    prompt, ids = some_ids(weights, 6), some_ids(weights, 9, seed=1)
    oracles = []
    for adapter in adapters:
        weights.wear(adapter)
        oracles.append(plain_rows(weights, prompt + ids)[len(prompt) - 1 :])
    sessions = [LocalModel(weights, adapter).open_ids(prompt) for adapter in adapters]
    for start in range(0, len(ids), 3):
        for session, oracle in zip(sessions, oracles, strict=True):
            rows = session.feed(ids[start : start + 3]).logp
            assert close("llama", rows, oracle[start : start + 4])
    for session, oracle in zip(sessions, oracles, strict=True):
        session.rewind(4)
        assert close("llama", session.feed(ids[4:]).logp, oracle[4:])
