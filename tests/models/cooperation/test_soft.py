"""Soft prompts: a slot that is a token's embedding reads as that token; training helps; files hold."""

import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.models.contract import Prompt, Said, Sampling, Verify
from renga.models.cooperation.soft import (
    SoftCompressor,
    SoftModel,
    answer_loss,
    stretches,
    train_soft,
)
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.slot_session import SlotSession, open_with
from renga.models.slots import Slots
from tests.models.tiny_weights import some_ids, tiny

LESSONS = [("The ferry leaves at nine.", "When?", "nine"), ("The ferry leaves at four.", "When?", "four")]


@pytest.fixture(scope="module")
def pair():
    return LocalModel(tiny("llama")), LocalModel(tiny("starcoder2 in float64"))


@pytest.fixture(scope="module")
def trained(pair):
    edge, host = pair
    return train_soft(edge, host, LESSONS, slots=2, epochs=30, rate=0.05)


def rows(session, ids):
    return session.feed(ids).logp


@pytest.mark.parametrize("kind", ["llama", "starcoder2 in float64", "gemma3"])
def test_slots_that_are_embeddings_of_tokens_are_those_tokens(kind):
    host = LocalModel(tiny(kind))
    weights = host.weights
    ids, fed = some_ids(weights, 3, seed=5), some_ids(weights, 4)
    slots = weights.model.get_input_embeddings()(torch.tensor(ids)).detach()
    soft = SlotSession(host, "why?", slots)
    prompt = weights.template.prompt_ids(weights.tokenizer, "\n\nwhy?")
    at = next(i for i in range(len(prompt) + 1) if soft._ids[i] != prompt[i])
    plain = host.open_ids(prompt[:at] + ids + prompt[at:])
    assert torch.allclose(rows(soft, fed), rows(plain, fed), atol=1e-4)
    soft.rewind(1)
    assert torch.allclose(
        rows(soft, fed[1:]), rows(plain, [])[:0].new_tensor(rows_again(plain, fed)), atol=1e-4
    )


def rows_again(session, fed):
    session.rewind(1)
    return rows(session, fed[1:]).tolist()


def test_training_makes_answers_likelier_and_is_the_same_again(pair, trained):
    edge, host = pair
    fresh = train_soft(edge, host, LESSONS, slots=2, epochs=0)
    for passage, question, answer in LESSONS:
        before = answer_loss(host, fresh.read(edge, passage), question, answer)
        after = answer_loss(host, trained.read(edge, passage), question, answer)
        assert after < before - 0.1  # a random host hardly listens
    again = train_soft(edge, host, LESSONS, slots=2, epochs=30, rate=0.05)
    assert torch.equal(again.weight, trained.weight) and torch.equal(again.bias, trained.bias)
    assert not any(p.grad is not None for p in host.weights.model.parameters())


def test_a_host_with_slots_is_a_model(pair, trained):
    edge, host = pair
    model = SoftModel(host, edge, trained)
    prompt = Prompt(f"{LESSONS[0][0]}\n\nWhen?")
    sampling = Sampling(temperature=1.0, max_tokens=8, seed=1)
    alone = list(generate(model, prompt, sampling))
    said = model.open(prompt).feed(alone, Verify(sampling)).ids
    assert said is not None and said.tolist()[: len(alone)] == alone
    bare = SoftModel(host, edge, trained).open(Prompt("When?"))
    assert rows(bare, []).shape == (1, host.vocabulary.size)
    talk = Prompt(prompt.text, before=(Said("user", "Hello."), Said("assistant", "Hello!")))
    assert torch.equal(rows(model.open(talk), []), rows(host.open(talk), []))
    with pytest.raises(RengaError, match="at the beginning"):
        open_with(host, talk, Slots.of(trained.read(edge, "x"), trained.host))


def test_files_and_bits(pair, trained, tmp_path):
    edge = pair[0]
    trained.save(tmp_path / "s.safetensors")
    again = SoftCompressor.load(tmp_path / "s.safetensors")
    slots = trained.read(edge, LESSONS[0][0])
    assert torch.equal(again.read(edge, LESSONS[0][0]), slots)
    held = Slots.of(slots, "h")
    assert held.nbytes == trained.slots * trained.bytes_per_slot
    assert ((held.vectors() - slots).abs() <= torch.tensor(held.scale)[:, None] / 2 + 1e-6).all()
    (tmp_path / "bad").write_bytes(b"x")
    for name in ("bad", "missing"):
        with pytest.raises(UsageError, match="no soft compressor"):
            SoftCompressor.load(tmp_path / name)


def test_models_it_was_not_made_for(pair, trained):
    edge, host = pair
    other = LocalModel(tiny("gemma3"))
    other.weights.fingerprint = "0" * 64
    with pytest.raises(RengaError, match="another host"):
        SoftModel(other, edge, trained)
    with pytest.raises(RengaError, match="another edge"):
        trained.read(other, "x")
    with pytest.raises(UsageError, match="needs lessons"):
        train_soft(edge, host, [], slots=2)


def test_short_and_empty_passages_fill_all_slots(pair):
    for passage in ("", "a", "The ferry leaves at nine."):
        found = stretches(pair[0], passage, 7)
        assert found.shape == (7, 32) and torch.isfinite(found).all()
