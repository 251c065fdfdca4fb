"""Flower's numbers and our names: who is who, who is away, who came back, who drops out."""

from __future__ import annotations

import time

import numpy as np
import pytest
from flwr.app import Message
from flwr.clientapp import ClientApp

from renga.protocol import envelope
from renga.protocol.clock import SystemClock
from renga.protocol.envelope import opened, sealed, sealed_reply
from renga.protocol.faults import planned
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.gather import gather
from renga.protocol.local_carrier import LocalGrid
from renga.protocol.named_grid import NamedGrid, ask_names
from renga.protocol.names import node_id
from renga.protocol.versions import PROTOCOL
from tests.protocol.descriptions import description
from tests.protocol.numbered_grid import NumberedGrid

NUMBERS = {"ada": 71, "bo": 5, "cy": 30}


def app() -> ClientApp:
    made = ClientApp()

    @made.query("describe")
    def describe(message: Message, context) -> Message:
        name = str(context.node_config["name"])
        if name == "cy":
            raise RuntimeError("private words")
        return sealed_reply(description(name).encode(), message)

    @made.train("learn")
    def learn(message: Message, context) -> Message:
        return sealed_reply(np.frombuffer(str(context.node_config["name"]).encode(), np.uint8), message)

    return made


@pytest.fixture(autouse=True)
def _server():
    with acting_as_server(1):
        yield


def numbered() -> NumberedGrid:
    return NumberedGrid(LocalGrid(app(), {name: {} for name in NUMBERS}), NUMBERS)


def known(nodes):
    return {number: name for name, number in NUMBERS.items() if number in nodes}


def asked(*names: str, round: int = 1) -> list[Message]:
    return [sealed("learn", np.zeros(3, np.uint8), node_id(name), round=round, ttl=60.0) for name in names]


def test_replies_come_from_those_who_were_asked() -> None:
    grid = NamedGrid(numbered(), known)
    assert grid.get_node_ids() == [node_id(name) for name in sorted(NUMBERS)]
    found = gather(grid, asked("bo", "ada"), deadline=10.0, quorum=2)
    said = {node: bytes(opened(reply)).decode() for node, reply in found.replies.items()}
    assert said == {node_id("ada"): "ada", node_id("bo"): "bo"} and not found.errors


def test_nodes_are_asked_who_they_are_and_those_that_fail_are_told() -> None:
    silent: dict[int, str] = {}
    names = ask_names(
        numbered(),
        [5, 30, 71],
        SystemClock(0.01),
        deadline=5.0,
        silent=lambda node, why: silent.update({node: why}),
    )
    assert names == {71: "ada", 5: "bo"}
    assert list(silent) == [30] and "private words" not in silent[30]


def test_who_is_away_is_not_sent_to_and_who_came_back_is_under_its_new_number() -> None:
    inner = numbered()
    grid = NamedGrid(inner, lambda nodes: {n: name for name, n in inner.numbers.items() if n in nodes})
    assert len(grid.get_node_ids()) == 3
    inner.away = {"bo"}
    assert node_id("bo") not in grid.get_node_ids()
    inner.away, inner.numbers["bo"] = set(), 900
    grid.get_node_ids()
    found = gather(grid, asked("bo"), deadline=10.0, quorum=1)
    assert list(found.replies) == [node_id("bo")]


def test_a_stranger_gets_nothing() -> None:
    grid = NamedGrid(numbered(), known)
    grid.get_node_ids()
    found = gather(grid, asked("ada", "nobody"), deadline=10.0, quorum=2)
    assert list(found.replies) == [node_id("ada")]
    assert found.errors == {node_id("nobody"): "the message was not accepted"}


def test_nobody_waits_in_real_time_for_those_who_drop_out_by_plan() -> None:
    grid = NamedGrid(numbered(), known, fault=planned({("bo", "*", 1): "drop"}))
    grid.get_node_ids()
    began = time.monotonic()
    found = gather(grid, asked("ada", "bo"), deadline=3600.0, quorum=1, grace=600.0)
    assert list(found.replies) == [node_id("ada")] and found.pending == [node_id("bo")]
    assert time.monotonic() - began < 60 and found.seconds >= 600
    again = gather(grid, asked("ada", "bo", round=2), deadline=3600.0, quorum=2)
    assert len(again.replies) == 2


def test_a_node_with_another_version_of_our_package_is_told_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ClientApp()

    @made.query("describe")
    def describe(message: Message, context) -> Message:
        with monkeypatch.context() as newer:
            if context.node_config["name"] == "bo":
                newer.setattr(envelope, "PROTOCOL", PROTOCOL + 1)
            return sealed_reply(description(str(context.node_config["name"])).encode(), message)

    inner = NumberedGrid(LocalGrid(made, {name: {} for name in ("ada", "bo")}), NUMBERS)
    told: list[tuple[int, str]] = []
    names = ask_names(inner, [71, 5], SystemClock(0.01), silent=lambda node, why: told.append((node, why)))
    assert names == {71: "ada"}
    ((node, why),) = told
    assert node == 5 and f"speaks version {PROTOCOL + 1} of the protocol, this one version {PROTOCOL}" in why
    assert "update the older one" in why
