from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from hypothesis import given
from hypothesis import strategies as st

from renga.errors import RengaError
from renga.protocol.clock import SystemClock, VirtualClock, clock_of
from renga.protocol.faults import Effect
from renga.protocol.flower_internals import Run, acting_as_server, empty_run, stamped
from renga.protocol.gather import Gathered, gather, wait_for_nodes
from renga.protocol.local_carrier import LocalGrid
from renga.protocol.names import node_id

NAMES = ("ana", "ben", "cy", "dee")


def echo() -> ClientApp:
    app = ClientApp()

    @app.query()
    def query(message: Message, context: Context) -> Message:
        return Message(
            RecordDict({"c": ConfigRecord({"name": context.node_config["name"]})}), reply_to=message
        )

    return app


def asked(effects: dict[str, Effect], **terms: float) -> tuple[Gathered[Message], list[str]]:
    """Ask four clients, of whom some are late or gone. Returns what came, and names in order of arrival."""
    grid = LocalGrid(echo(), {name: {} for name in NAMES}, fault=lambda name, *_: effects.get(name))
    order: list[str] = []
    names = {node_id(name): name for name in NAMES}
    with acting_as_server(1):
        got = gather(
            grid,
            [Message(RecordDict(), node_id(name), "query") for name in NAMES],
            deadline=terms.get("deadline", 60.0),
            quorum=int(terms.get("quorum", 4)),
            grace=terms.get("grace", 0.0),
            on_reply=lambda node, _: order.append(names[node]),
        )
    assert grid.clock.monotonic() == got.seconds
    return got, order


def who(nodes: Iterable[int]) -> set[str]:
    return {name for name in NAMES if node_id(name) in set(nodes)}


def test_all_answer_and_no_time_passes():
    got, order = asked({})
    assert order == list(NAMES)
    assert list(got.replies) == sorted(node_id(name) for name in NAMES)
    assert (got.errors, got.pending, got.seconds) == ({}, [], 0.0)


def test_late_replies_are_waited_for_exactly():
    got, order = asked({"ana": 30.0, "cy": 10.0})
    assert order == ["ben", "dee", "cy", "ana"]
    assert got.seconds == 30.0
    assert not got.pending


def test_the_deadline_ends_the_round():
    got, _ = asked({"ana": "drop", "ben": 60.5, "cy": 60.0})
    assert who(got.replies) == {"cy", "dee"}
    assert who(got.pending) == {"ana", "ben"}
    assert got.seconds == 60.0


@pytest.mark.parametrize(
    ("grace", "seconds", "late"),
    [(0.0, 5.0, {"cy", "dee"}), (4.0, 9.0, {"cy", "dee"}), (5.0, 10.0, {"dee"}), (90.0, 60.0, {"dee"})],
)
def test_after_the_quorum_there_is_grace_up_to_the_deadline(grace, seconds, late):
    got, _ = asked({"ben": 5.0, "cy": 10.0, "dee": "drop"}, quorum=2, grace=grace)
    assert who(got.pending) == late
    assert got.seconds == seconds


def test_a_quorum_reached_at_once_still_hears_everyone_who_is_not_late():
    got, _ = asked({"dee": 1.0}, quorum=1)
    assert who(got.replies) == {"ana", "ben", "cy"}
    assert got.seconds == 0.0


def test_without_deadline_the_dead_are_an_error_not_a_hang():
    with pytest.raises(RengaError, match="never come"):
        asked({"ana": "drop"}, deadline=math.inf)


@given(
    delays=st.lists(st.one_of(st.none(), st.just("drop"), st.floats(0, 100)), min_size=4, max_size=4),
    deadline=st.floats(0, 100),
    quorum=st.integers(0, 5),
    grace=st.floats(0, 50),
)
def test_what_is_in_time_counts_and_nothing_else(delays, deadline, quorum, grace):
    effects = dict(zip(NAMES, delays, strict=True))
    got, order = asked(effects, deadline=deadline, quorum=quorum, grace=grace)
    arrivals = {name: effect or 0.0 for name, effect in effects.items() if effect != "drop"}
    times = sorted(arrivals.values())
    enough = 0.0 if quorum == 0 else times[quorum - 1] if quorum <= len(times) else math.inf
    end = min(deadline, enough + grace)
    assert who(got.replies) == {name for name, at in arrivals.items() if at <= end}
    assert who(got.pending) == set(NAMES) - who(got.replies)
    assert order == sorted(order, key=lambda name: arrivals[name])
    assert list(got.replies) == sorted(got.replies)


class Scripted(Grid):
    """A grid as Flower's: rejects some, answers some in the name of the server, never in order."""

    def __init__(self, *, rejected: Iterable[int] = (), too_large: bool = False) -> None:
        self.rejected, self.too_large = set(rejected), too_large
        self.sent: dict[str, Message] = {}
        self.kinds: dict[int, type] = {}
        self.nodes: list[int] = []
        self.answers: list[Message] = []

    def set_run(self, run: Run) -> None: ...

    @property
    def run(self) -> Run:
        return empty_run(1)

    def create_message(self, *args, **kwargs) -> Message:
        raise NotImplementedError

    def send_and_receive(self, messages, *, timeout=None):
        raise NotImplementedError

    def get_node_ids(self) -> list[int]:
        return self.nodes

    def push_messages(self, messages):
        assert isinstance(messages, list)
        if self.too_large:
            return []
        ids: list[str | None] = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node in self.rejected:
                ids.append(None)
                continue
            message.metadata.__dict__["_message_id"] = f"m{node}"
            self.sent[f"m{node}"] = message
            ids.append(f"m{node}")
        return ids

    def pull_messages(self, message_ids):
        answers, self.answers = self.answers, []
        return answers


def sending(nodes: Iterable[int]) -> list[Message]:
    return [Message(RecordDict(), node, "query") for node in nodes]


def replying(grid: Scripted, node: int, error: Error | None = None, source: int | None = None) -> Message:
    request = Message(RecordDict(), node, "query")
    request.metadata.__dict__["_message_id"] = f"m{node}"
    reply = Message(error or RecordDict(), reply_to=request)
    if source is not None:
        reply = stamped(reply, 0.0)
        reply.metadata.__dict__["_src_node_id"] = source
    return reply


def test_errors_are_mapped_by_the_message_they_answer(server):
    grid = Scripted(rejected=[13])
    grid.answers = [
        replying(grid, 12, Error(5, "node\ngone\x1b[2J"), source=1),
        replying(grid, 14, source=11),
        replying(grid, 11),
        replying(grid, 11),
        replying(grid, 99),
        replying(grid, 15, Error(3)),
    ]
    got = gather(grid, sending([15, 14, 13, 12, 11]), deadline=5, quorum=5, clock=VirtualClock())
    assert list(got.replies) == [11]
    assert got.errors == {
        12: "[5] node gone [2J",
        13: "the message was not accepted",
        14: "the reply comes from another node",
        15: "[3] no reason given",
    }
    assert got.pending == []


def test_a_batch_too_large_is_an_error_for_everyone(server):
    got = gather(Scripted(too_large=True), sending([11, 12]), deadline=5, quorum=2, clock=VirtualClock())
    assert set(got.errors) == {11, 12}


def test_nothing_to_send_is_nothing_gathered():
    assert gather(Scripted(), [], deadline=5, quorum=0, clock=VirtualClock()) == Gathered({}, {}, [], 0.0)


def test_one_message_per_node(server):
    with pytest.raises(ValueError, match="same node"):
        gather(Scripted(), sending([11, 11]), deadline=5, quorum=1)


def test_a_grid_without_clock_is_polled_in_real_time(server):
    grid = Scripted()
    assert isinstance(clock_of(grid), SystemClock)
    got = gather(grid, sending([11]), deadline=0.02, quorum=1, clock=SystemClock(poll=0.005))
    assert got.pending == [11]
    assert 0.02 <= got.seconds < 2.0


def test_waiting_for_nodes():
    clock = VirtualClock()
    grid = Scripted()
    grid.nodes = [node_id("ben"), node_id("ana"), 77]
    assert wait_for_nodes(grid, 2, timeout=5, clock=clock) == sorted(grid.nodes)
    named = wait_for_nodes(grid, ["ana", "ben"], timeout=5, clock=clock)
    assert named == sorted([node_id("ana"), node_id("ben")])
    assert clock.now == 0.0
    with pytest.raises(RengaError, match=r"2 of 3 clients are connected; missing: zoë, after 5 s"):
        wait_for_nodes(grid, ["zoë", "ana", "ben"], timeout=5, clock=clock)
    with pytest.raises(RengaError, match="3 of 4 clients"):
        wait_for_nodes(grid, 4, timeout=2.5, clock=clock)
    assert clock.now == 7.5


def test_nodes_may_come_while_one_waits():
    grid = Scripted()

    class Arriving(VirtualClock):
        def wait(self, seconds: float) -> None:
            super().wait(min(seconds, 1.0))
            grid.nodes.append(node_id(NAMES[len(grid.nodes)]))

    clock = Arriving()
    assert len(wait_for_nodes(grid, NAMES, timeout=60, clock=clock)) == 4
    assert clock.now == 4.0
