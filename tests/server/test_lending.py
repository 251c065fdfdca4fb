"""One contract, wherever the model is: here, batched, behind a session on the server, or lent by a client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
import torch

from renga.client.lending import Lender
from renga.client.policy import Policy
from renga.errors import RengaError, UsageError
from renga.models.batching import BatchedModel
from renga.models.contract import Clearance, Prompt, Sampling, Scores, TopK
from renga.models.ensemble.fuse import fuse
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.remote import ConnectionLost, RemoteModel
from renga.models.serving_sessions import SessionLimits
from renga.protocol.session_stream import SessionStream
from renga.server.host import Host
from renga.server.sessions import HostSessions
from tests.models.contract_checks import check_contract
from tests.models.tiny_weights import some_ids, tiny
from tests.server.link_world import World, world
from tests.server.test_link import doubling

PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)
WEIGHTS = tiny("llama")
LIMITS = SessionLimits(sessions=64, sessions_in_all=64)  # the checks leave sessions open


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    host = cast(Host, SimpleNamespace(weights=WEIGHTS, adapter=None, turn=threading.Lock()))
    with world(tmp_path_factory.mktemp("lent"), HostSessions(host, LIMITS)) as made:
        yield made


def lending(here: World, name: str, policy: Policy, limits: SessionLimits = LIMITS) -> None:
    link = here.link(name, doubling(), policy=policy)
    batched = BatchedModel(WEIGHTS, sessions=LIMITS.sessions_in_all)
    link.lender = Lender(name, lambda: batched, link.outbox, limits)
    link.lent = (link.lender.described("tiny", WEIGHTS.fingerprint),)
    here.attach(link)


def remote(here: World, model: str = "host", asking: str = "asking") -> RemoteModel:
    credentials = here.enrolled(asking)

    async def connect() -> grpc.aio.Channel:
        return credentials.channel(here.address)

    channel = here.loop.do(connect())
    return RemoteModel(
        lambda: SessionStream(here.loop.loop, channel, ConnectionLost), model, WEIGHTS.vocabulary
    )


@pytest.mark.parametrize("where", ["local", "batched", "remote", "lent"])
def test_the_contract(here: World, where: str) -> None:
    model: Any
    if where == "local":
        model = LocalModel(WEIGHTS)
    elif where == "batched":
        model = BatchedModel(WEIGHTS, sessions=LIMITS.sessions_in_all)
    elif where == "remote":
        model = remote(here)
    else:
        lending(here, "ada", Policy(lend=True))
        assert [one.name for one in here.lending.described()] == ["ada"]
        model = here.lending.model("ada", WEIGHTS.vocabulary)
    check_contract(model, tolerance=1e-5)
    if where == "lent":
        ledger = (here.folder / "ada" / "ledger.jsonl").read_text().splitlines()
        left = [json.loads(line) for line in ledger]
        assert {entry["kind"] for entry in left} == {"lent"}
        assert sum(entry["bytes"] for entry in left) > 10_000


def test_what_the_policy_does_not_lend_is_not_asked(here: World) -> None:
    lending(here, "bo", Policy())
    with pytest.raises(RengaError, match="policy lends no model"):
        here.lending.model("bo", WEIGHTS.vocabulary).open(PUBLIC)
    assert not (here.folder / "bo" / "ledger.jsonl").exists()
    with pytest.raises(UsageError, match="lends no model now"):
        here.lending.model("nobody", WEIGHTS.vocabulary)


def test_a_lender_has_limits_and_other_vocabularies_are_refused(here: World) -> None:
    lending(here, "cy", Policy(lend=True), SessionLimits(sessions=1, ids_per_feed=4))
    model = here.lending.model("cy", WEIGHTS.vocabulary)
    session = model.open(PUBLIC)
    with pytest.raises(RengaError, match="too many sessions"):
        model.open(PUBLIC)
    with pytest.raises(RengaError, match="at most 4"):
        session.feed(some_ids(WEIGHTS, 5), Scores())
    here.wait_for(lambda: not here.links["cy"].done() and not here.loop.do(_serving()))
    with pytest.raises(RengaError, match="vocabulary"):
        here.lending.model("cy", tiny("gemma3").vocabulary).open(PUBLIC)


async def _serving() -> list[Any]:
    """Lent sessions that only one lender here limits to one at a time; those of others may go on."""
    named = [task for task in asyncio.all_tasks() if task.get_name() == "lent by cy"]
    return [task for task in named if not task.done()]


def test_a_lender_that_goes_is_told_and_one_that_comes_back_heals_the_session(here: World) -> None:
    link = here.link("dee", doubling(), policy=Policy(lend=True))
    batched = BatchedModel(WEIGHTS)
    link.lender = Lender("dee", lambda: batched, link.outbox)
    link.lent = (link.lender.described("tiny", WEIGHTS.fingerprint),)
    here.attach(link)
    ids = some_ids(WEIGHTS, 4)
    session = here.lending.model("dee", WEIGHTS.vocabulary).open(PUBLIC)
    session.feed(ids, Scores())
    here.detach("dee")
    with pytest.raises(RengaError, match="lost"):
        session.feed(ids, Scores())
    here.attach(link)
    again = session.feed(ids, Scores()).scores
    whole = LocalModel(WEIGHTS).open(PUBLIC).feed(ids + ids, Scores()).scores
    assert again is not None and whole is not None and again.allclose(whole[4:], atol=1e-4)


def test_another_client_asks_a_lender_through_the_server(here: World) -> None:
    """By the lender's name, as plans have it; when it goes, the answer goes on without it."""
    lending(here, "clinic", Policy(lend=True))
    there = remote(here, "clinic", "curious")
    ids = some_ids(WEIGHTS, 5)
    mine, theirs = LocalModel(WEIGHTS).open(PUBLIC), there.open(PUBLIC)
    one, other = mine.feed(ids, TopK(4)), theirs.feed(ids, TopK(4))
    assert one.logp is not None and other.logp is not None
    assert torch.allclose(one.logp, other.logp, atol=1e-4)
    theirs.close()
    model = fuse(LocalModel(WEIGHTS), there, rows=16)
    said = []
    for id in generate(model, PUBLIC, Sampling(max_tokens=14)):
        said.append(id)
        if len(said) == 4:
            here.detach("clinic")
            here.wait_for(lambda: "clinic" not in here.post.attached())
    assert len(said) > 8
    with pytest.raises(RengaError):
        there.open(PUBLIC)
