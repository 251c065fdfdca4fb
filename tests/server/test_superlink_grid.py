"""The grid on our SuperLink: who counts as present, and what a SuperLink that is killed has lost."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from renga.client.ledger import Ledger
from renga.client.outbox import Outbox
from renga.client.policy import Policy
from renga.client.work import Work
from renga.protocol.envelope import opened, sealed, sealed_reply
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.gather import gather
from renga.protocol.local_carrier import LocalGrid
from renga.protocol.names import node_id
from renga.server import superlink_grid
from renga.server.fleet_front import FleetFront
from renga.server.superlink_grid import SuperLinkGrid
from tests.protocol.numbered_grid import NumberedGrid

NUMBERS = {"ada": 71, "bo": 5}


@pytest.fixture(autouse=True)
def _server() -> Iterator[None]:
    with acting_as_server(1):
        yield


class Losing(NumberedGrid):
    """Hands the first reply of one node over to nobody, and is another process from then on."""

    process: object = object()
    lost = False

    def pull_messages(self, message_ids):
        replies = super().pull_messages(message_ids)
        kept = [reply for reply in replies if self.lost or reply.metadata.src_node_id != NUMBERS["ada"]]
        if len(kept) < len(replies):
            self.lost, self.process = True, object()
        return kept


def learned(calls: list[str]) -> ClientApp:
    app = ClientApp()

    @app.train("learn")
    def learn(message: Message, context: Context) -> Message:
        calls.append(str(context.node_config["name"]))
        return sealed_reply(opened(message) + 1, message)

    return app


def grid(inner: NumberedGrid, attached: list[str] | None = None) -> SuperLinkGrid:
    front = FleetFront("https://inner", ssl.create_default_context())
    numbers = {number: name for name, number in NUMBERS.items()}
    return SuperLinkGrid(
        inner,
        lambda nodes: {node: numbers[node] for node in nodes},
        front,
        lambda: getattr(inner, "process", None),  # type: ignore[arg-type, return-value]
        None if attached is None else lambda: attached,
    )


def test_a_node_whose_client_is_not_attached_is_not_there() -> None:
    inner = NumberedGrid(LocalGrid(learned([]), {name: {} for name in NUMBERS}), NUMBERS)
    assert grid(inner).get_node_ids() == [node_id("ada"), node_id("bo")]
    assert grid(inner, ["bo"]).get_node_ids() == [node_id("bo")]


def test_what_a_killed_superlink_was_handing_over_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(superlink_grid, "AGAIN", 0.0)
    monkeypatch.setattr(superlink_grid, "LOOK", 0.01)
    calls: list[str] = []
    inner = Losing(LocalGrid(learned(calls), {name: {} for name in NUMBERS}), NUMBERS)
    lossless = grid(inner)
    lossless.get_node_ids()
    requests = [
        sealed("learn", np.arange(3, dtype=np.uint8), node_id(name), round=1, ttl=60) for name in NUMBERS
    ]
    found = gather(lossless, requests, deadline=10, quorum=2)
    assert sorted(found.replies) == sorted(map(node_id, NUMBERS)) and not found.errors
    assert all(opened(reply).tolist() == [1, 2, 3] for reply in found.replies.values())
    assert sorted(calls) == ["ada", "ada", "bo"]  # a client of ours would have remembered its answer


def test_a_request_that_comes_twice_is_worked_on_once(tmp_path: Path) -> None:
    calls: list[str] = []
    work = Work.of("ada", learned(calls))
    outbox = Outbox("superlink", Policy(), Ledger(tmp_path / "ledger.jsonl"))
    blob = np.arange(3, dtype=np.uint8)
    replies = [
        work.released(sealed("learn", blob, node_id("ada"), round=number, ttl=ttl), outbox)
        for number, ttl in ((1, 60), (1, 61), (2, 60))
    ]
    assert [opened(reply).tolist() for reply in replies] == [[1, 2, 3]] * 3
    assert calls == ["ada", "ada"]  # another round is another request
    assert [entry.round for entry in Ledger(tmp_path / "ledger.jsonl").entries()] == [1, 1, 2]
