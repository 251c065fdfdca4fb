"""The same seeded federation over every carrier gives the same adapters, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from renga.client.app import client_app
from renga.client.ledger import Ledger
from renga.client.link import Link
from renga.client.member import Member
from renga.client.outbox import Outbox
from renga.client.policy import Policy
from renga.client.work import Work
from renga.config import Config, load
from renga.models.carried import to_bytes
from renga.protocol.blobs import BlobStore
from renga.protocol.local_carrier import LocalGrid, run_server, server_context
from renga.protocol.signing import public_key
from renga.server.app import server_app
from renga.server.state import ServerState, Standing
from renga.simulations.build import Models, Texts, build_federation, build_host, build_member, read_texts
from tests.server.link_world import world
from tests.tiny_federation import write_federation


def members(config: Config, texts: Texts, folder: Path) -> dict[str, Member]:
    """Each with weights of its own: over the link they learn at the same time."""
    return {
        client.name: build_member(config, client, texts, Models(print), folder / "clients", None)
        for client in config.clients
    }


def over_local(config: Config, folder: Path) -> Standing:
    texts = read_texts(config)
    state = ServerState(folder / "state")
    people = members(config, texts, folder)
    models = Models(print)
    host = build_host(config, texts, models, None)
    federation = build_federation(config, texts, models, host, state, print)
    grid = LocalGrid(
        client_app(lambda context: people[str(context.node_config["name"])]), {name: {} for name in people}
    )
    run_server(server_app(lambda context: federation), grid, server_context())
    return state.standing()


STEPS = ["train.learn", "query.answer", "train.exchange", "evaluate.judge"]


def over_link(config: Config, folder: Path) -> Standing:
    texts = read_texts(config)
    state = ServerState(folder / "state")
    people = members(config, texts, folder)
    models = Models(print)
    host = build_host(config, texts, models, None)
    federation = build_federation(config, texts, models, host, state, print)
    with world(folder / "world") as here:
        for name, member in people.items():
            here.attach(linked(here, name, member))
        run_server(server_app(lambda context: federation), here.post.grid, server_context())
        kinds = [entry.kind for entry in Ledger(folder / "world" / "ada" / "ledger.jsonl").entries()]
        assert kinds == ["query.describe", *STEPS * 2]
    return state.standing()


def linked(here, name: str, member: Member) -> Link:
    credentials = here.enrolled(name)
    keys = here.folder / name
    return Link(
        credentials=credentials,
        address=here.address,
        server_key=public_key((keys / "server-signing.key").read_bytes()),
        work=Work.of(name, client_app(lambda context: member)),
        blobs=BlobStore(keys / "blobs"),
        outbox=Outbox(here.address, Policy(), Ledger(keys / "ledger.jsonl")),
        base=member.weights.fingerprint,
    )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_link_carries_what_the_local_carrier_does(tmp_path: Path) -> None:
    path = write_federation(tmp_path)
    text = path.read_text().replace("rounds = 1", "rounds = 2")
    path.write_text(
        text.replace('held_out = "bo_held_out.jsonl"', 'held_out = "bo_held_out.jsonl"\nrank = 3')
    )
    config = load(path)
    local = over_local(config, tmp_path / "local")
    link = over_link(config, tmp_path / "link")
    assert local.round == link.round == 2
    assert local.since == link.since and local.adopted == link.adopted
    assert set(local.adapters) == set(link.adapters)
    for cohort, adapter in local.adapters.items():
        assert np.array_equal(to_bytes(adapter), to_bytes(link.adapters[cohort]))
    assert (local.host is None) == (link.host is None)
    if local.host is not None and link.host is not None:
        assert np.array_equal(to_bytes(local.host), to_bytes(link.host))
