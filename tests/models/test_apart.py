"""A model in a process of its own is that model, and its end is an error, or an absence."""

import multiprocessing
import os
import socket
import time

import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.models.apart import Apart, apart
from renga.models.composed import absences
from renga.models.context import TooLong
from renga.models.contract import Clearance, Prompt, Said, Sampling, Verify
from renga.models.ensemble.fuse import fuse
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from tests.models.contract_checks import PROMPT, check_contract, fresh
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.models.tiny_weights import random_adapter, shared, some_ids, tiny
from tests.models.toy import Toy

TALK = Prompt("And now?", Clearance.PUBLIC, (Said("user", "Who counts?"), Said("assistant", "We do.")))


class Interrupted:
    """A pipe whose reader is interrupted while it waits."""

    def __init__(self, pipe):
        self.send_bytes, self.close = pipe.send_bytes, pipe.close

    def recv_bytes(self):
        raise KeyboardInterrupt


@pytest.fixture
def processes():
    """Ends what a test has put apart."""
    made: list[Apart] = []
    yield made.append
    for model in made:
        model.close()
        assert not model._process.is_alive()


def put_apart(model, processes, **how):
    there = apart(model, **how)
    assert isinstance(there, Apart)
    processes(there)
    return there


def gone(pid):
    """Whether there is no such process, or none that does anything, within some seconds."""
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_a_fork_holds_nobodys_connection(processes):
    ours, peers = socket.socketpair()
    put_apart(LocalModel(tiny("llama")), processes)
    ours.close()
    with peers:
        peers.settimeout(20)
        assert peers.recv(1) == b""


def test_half_an_exchange_is_no_answer_to_the_next(processes, monkeypatch):
    there = put_apart(LocalModel(tiny("llama")), processes)
    session = there.open(PROMPT)
    waiting = there._pipe
    monkeypatch.setattr(there, "_pipe", Interrupted(waiting))
    with pytest.raises(KeyboardInterrupt):
        session.feed([3])
    monkeypatch.setattr(there, "_pipe", waiting)
    with pytest.raises(RengaError, match="has ended"):
        session.feed([3])


def test_what_fails_there_is_told_and_ends_nothing(processes):
    there = put_apart(LocalModel(tiny("llama")), processes)
    with pytest.raises(RengaError, match="KeyError"):
        there.ask({"move": "rows", "session": 99, "read": [], "fed": []})
    assert there.open(PROMPT).feed([3]).logp is not None


def test_members_of_one_base_are_themselves_bit_for_bit(processes):
    weights = tiny("llama")
    mine = [
        LocalModel(weights, adapter)
        for adapter in (random_adapter(weights, 1), random_adapter(weights, 2), None)
    ]
    ids = some_ids(weights, 6)
    alone = [fresh(model, ids) for model in mine]
    assert not torch.equal(alone[0], alone[1])
    before = os.environ.copy()
    theirs = [put_apart(model, processes) for model in mine]
    assert os.environ == before
    for model, rows in zip(theirs, alone, strict=True):
        assert torch.equal(fresh(model, ids), rows)
        assert torch.equal(fresh(model, ids, TALK), fresh(mine[theirs.index(model)], ids, TALK))
    assert torch.equal(fresh(fuse(*theirs, weights=[0, 1, 0]), ids), alone[1])
    assert torch.equal(
        fresh(fuse(*theirs, weights=[3, 2, 1]), ids), fresh(fuse(*mine, weights=[3, 2, 1]), ids)
    )
    check_contract(theirs[0], tolerance=1e-5)


def test_what_it_costs_is_what_it_costs_here(processes):
    here, other = (LocalModel(tiny("llama")) for _ in range(2))
    there = put_apart(other, processes)
    ids = some_ids(here.weights, 4)
    for model in (here, there):
        session = model.open(PROMPT)
        session.feed(ids[:3])
        session.feed(ids[3:])
    assert (there.meter.passes, there.meter.tokens) == (here.meter.passes, here.meter.tokens)
    assert here.meter.tokens > 20 and there.meter.seconds > 0


def test_it_begins_after_passes_on_many_threads(processes):
    """A fork has none of the threads that a library keeps for its parent."""
    had = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.randn(600, 600) @ torch.randn(600, 600)
        weights = tiny("llama")
        there = put_apart(LocalModel(weights), processes)
        assert fresh(there, some_ids(weights, 40)).shape[0] == 41
    finally:
        torch.set_num_threads(had)


def test_a_full_context_is_told_as_it_is_here(processes):
    here = LocalModel(shared(llama(max_position_embeddings=40), chat_tokenizer()))
    there = put_apart(here, processes)
    prompt = Prompt("a", Clearance.PUBLIC)
    room = 40 - len(here.weights.prompt_ids(prompt))
    ids = some_ids(here.weights, room)
    with pytest.raises(TooLong):
        there.open(prompt).feed([*ids, ids[0]])
    with pytest.raises(TooLong, match="reads at most 40"):
        there.open(Prompt("a" * 400, Clearance.PUBLIC))
    session = there.open(prompt)
    session.feed(ids[:-1])
    drafts = session.feed([ids[-1], ids[0], ids[1]], Verify(Sampling()))  # drafts end no answer
    assert drafts.ids is not None and len(drafts.ids) >= 1


def test_one_that_dies_is_left_out(processes):
    weights = tiny("llama")
    here = LocalModel(weights)
    there = put_apart(here, processes)
    model = fuse(here, there)
    said = []
    for id in generate(model, PROMPT, Sampling(max_tokens=9)):
        said.append(id)
        if len(said) == 3:
            there._process.kill()
            there._process.join()
    assert len(said) > 4 and "has ended" in str(absences(model)[0])
    with pytest.raises(RengaError, match="has ended"):
        there.open(PROMPT)


def test_one_is_closed_while_others_go_on(processes):
    weights = tiny("llama")
    first, second = (Apart(LocalModel(weights)) for _ in range(2))
    processes(second)
    first.close()
    assert not first._process.is_alive()
    assert fresh(second, some_ids(weights, 2)).shape[0] == 3


def _owner(pipe):
    weights = tiny("llama")
    several = [Apart(LocalModel(weights)) for _ in range(2)]
    pipe.send([model._process.pid for model in several])
    time.sleep(60)


def test_none_outlives_its_owner():
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    owner = context.Process(target=_owner, args=(there,))
    owner.start()
    pids = here.recv()
    owner.kill()
    owner.join()
    assert all(gone(pid) for pid in pids)


def test_with_more_threads_it_loads_again(tmp_path, monkeypatch, processes):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = save_folder(tmp_path / "model", llama(), chat_tokenizer())
    weights = SharedWeights.load(str(folder))
    here = LocalModel(weights, random_adapter(weights))
    there = put_apart(here, processes, threads=2)
    ids = some_ids(weights, 5)
    assert torch.allclose(fresh(there, ids), fresh(here, ids), atol=1e-5)


def test_what_is_not_here_is_not_put_apart():
    with pytest.raises(UsageError, match="takes a model that is here"):
        apart(Toy())
