"""Soft prompts over a real socket: slots travel, and say what they say to a host that is here."""

import numpy as np
import pytest

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.models.contract import Clearance, Prompt, Said, Sampling
from renga.models.cooperation.soft import SoftModel, train_soft
from renga.models.cooperation.speculate import speculate
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.remote import RemoteModel
from renga.models.slots import Slots, packed_slots, read_slots
from tests.models.test_remote import Breaking, world  # noqa: F401 the fixture
from tests.models.tiny_weights import tiny

TEXT = "The ferry leaves at nine, and at four.\n\nWhen?"
PUBLIC = Prompt(TEXT, Clearance.PUBLIC)
HOW = [Sampling(max_tokens=10), Sampling(temperature=1.0, seed=5, max_tokens=10)]


@pytest.fixture(scope="module")
def made():
    edge = LocalModel(tiny("starcoder2 in float64"))
    return edge, train_soft(edge, LocalModel(tiny("llama")), [("a", "b?", "c")], slots=3, epochs=1)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("broken", [False, True])
def test_the_same_answers_as_from_a_host_here(world, made, how, broken):  # noqa: F811
    weights, dial = world
    edge, compressor = made
    remote = RemoteModel((lambda: Breaking(dial())) if broken else dial, "host", weights.vocabulary)
    here, there = (SoftModel(host, edge, compressor) for host in (LocalModel(weights), remote))
    alone = list(generate(here, PUBLIC, how))
    assert list(generate(there, PUBLIC, how)) == alone
    assert alone != list(generate(LocalModel(weights), PUBLIC, how))
    assert list(generate(speculate(LocalModel(weights), there), PUBLIC, how)) == alone


def test_a_conversation_is_read_there_as_it_is(world, made):  # noqa: F811
    weights, dial = world
    edge, compressor = made
    there = SoftModel(RemoteModel(dial, "host", weights.vocabulary), edge, compressor)
    said = {}
    for name in ("Hello!", "Good day!"):
        talk = Prompt(TEXT, Clearance.PUBLIC, (Said("user", "Hello."), Said("assistant", name)))
        said[name] = list(generate(there, talk, HOW[1]))
        assert said[name] == list(generate(LocalModel(weights), talk, HOW[1]))
    assert said["Hello!"] != said["Good day!"]


def test_what_is_raw_stays_and_what_fits_nobody_is_refused(world, made):  # noqa: F811
    weights, dial = world
    edge, compressor = made
    remote = RemoteModel(dial, "host", weights.vocabulary)
    with pytest.raises(UsageError, match="raw"):
        SoftModel(remote, edge, compressor).open(Prompt(TEXT))
    slots = Slots.of(compressor.read(edge, "x"), "0" * 64)
    with pytest.raises(RengaError, match="another model"):
        remote.open_slots(PUBLIC, slots)
    with pytest.raises(RengaError, match="tokens long; tiny reads at most 240"):
        remote.open_slots(
            Prompt("x " * 240, Clearance.PUBLIC), Slots.of(compressor.read(edge, "x"), compressor.host)
        )
    talk = Prompt(TEXT, Clearance.PUBLIC, (Said("user", "Hello."), Said("assistant", "Hello!")))
    with pytest.raises(
        RengaError, match="at the beginning"
    ):  # turns would stand behind the slots, or be lost
        remote.open_slots(talk, Slots.of(compressor.read(edge, "x"), compressor.host))
    for _ in range(6):  # refused ones leave no session taken
        remote.open_slots(PUBLIC, Slots.of(compressor.read(edge, "x"), compressor.host)).close()


def test_slots_off_the_wire_are_checked():
    good = Slots(np.ones((2, 8), np.int8), np.ones(2, np.float32), "h")
    assert read_slots(packed_slots(good), "h", 8).numbers.tolist() == good.numbers.tolist()
    assert good.nbytes == 24
    for spoilt, width in (
        (Slots(good.numbers, good.scale, "other"), 8),
        (good, 9),
        (Slots(good.numbers, good.scale[:1], "h"), 8),
        (Slots(good.numbers, np.array([1, np.inf], np.float32), "h"), 8),
        (Slots(np.ones((0, 8), np.int8), np.ones(0, np.float32), "h"), 8),
        (Slots(np.ones((257, 8), np.int8), np.ones(257, np.float32), "h"), 8),
    ):
        with pytest.raises(RefusedPayload):
            read_slots(packed_slots(spoilt), "h", width)
