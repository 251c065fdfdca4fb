from __future__ import annotations

import time

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from renga.protocol.failure import failure_reason, one_line, scrub_failures
from renga.protocol.faults import Effect, planned, seeded
from renga.protocol.flower_internals import SERVER_NODE_ID, deflate, stamped
from renga.protocol.gather import Gathered, gather
from renga.protocol.local_carrier import LocalGrid, run_server, server_context
from renga.protocol.names import node_id
from tests.protocol.tiny_apps import SECRET, client_app, clients, content, count, server_app, vector


def ask(grid: LocalGrid, kind: str = "train", *, group_id: str = "1", **terms: float) -> Gathered[Message]:
    nodes = grid.get_node_ids()
    messages = [Message(content(np.zeros(8)), node, kind, group_id=group_id) for node in nodes]
    deadline, grace = terms.get("deadline", 60.0), terms.get("grace", 0.0)
    quorum = int(terms.get("quorum", len(nodes)))
    return gather(grid, messages, deadline=deadline, quorum=quorum, grace=grace)


def whole_run(count: int = 5, **faults: float) -> tuple[list[Gathered[Message]], LocalGrid, Context]:
    log: list[Gathered[Message]] = []
    grid = LocalGrid(client_app(), clients(count), fault=seeded(7, **faults) if faults else None)
    context = run_server(server_app(log, rounds=3, quorum=1), grid, server_context())
    return log, grid, context


@pytest.mark.parametrize("faults", [{}, {"drop": 0.2, "lose": 0.1, "late": 0.3, "delay": 50.0}])
def test_two_runs_are_the_same_to_the_byte(faults):
    (first, grid, one), (second, again, two) = whole_run(**faults), whole_run(**faults)
    for a, b in zip(first, second, strict=True):
        assert (a.errors, a.pending, a.seconds) == (b.errors, b.pending, b.seconds)
        assert [w.objects for w in deflate(list(a.replies.values()))] == [
            w.objects for w in deflate(list(b.replies.values()))
        ]
        assert [m.metadata for m in a.replies.values()] == [m.metadata for m in b.replies.values()]
    assert grid.traffic == again.traffic
    assert one.state.array_records["result"]["x"].data == two.state.array_records["result"]["x"].data
    assert any(got.pending for got in first) == bool(faults)


def test_no_object_is_shared_between_the_two_sides(server):
    grid = LocalGrid(client_app(), clients(1))
    sent = content(np.arange(8.0))
    (message_id,) = grid.push_messages([Message(sent, grid.get_node_ids()[0], "query.vandal")])
    sent.array_records["arrays"]["x"] = Array(np.full(8, -1.0))
    (reply,) = grid.pull_messages([message_id])
    np.testing.assert_array_equal(vector(reply.content), np.arange(8.0))
    np.testing.assert_array_equal(vector(sent), np.full(8, -1.0))


def test_an_altered_record_travels_as_it_is_now(server):
    # The pitfall: within one batch another record has the content that the altered one used to have.
    grid = LocalGrid(client_app(), clients(1))
    node = grid.get_node_ids()[0]
    record, twin = ConfigRecord({"v": 1}), ConfigRecord({"v": 1})
    deflate([Message(RecordDict({"a": record}), node, "train")])
    record["v"] = 2
    (wire,) = deflate([Message(RecordDict({"twin": twin, "a": record}), node, "train")])
    (other,) = deflate(
        [Message(RecordDict({"twin": ConfigRecord({"v": 1}), "a": ConfigRecord({"v": 2})}), node, "train")]
    )
    assert set(wire.objects) - {wire.id} == set(other.objects) - {other.id}


def test_bytes_are_those_of_the_wire_form(server):
    payload = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)
    grid = LocalGrid(client_app(), {"ana": {"seed": 0}, "ben": {"seed": 1}})
    message = Message(content(payload), node_id("ana"), "query.vandal")
    expected = deflate([message])[0].size
    assert payload.nbytes < expected < payload.nbytes + 2_000
    (message_id,) = grid.push_messages([message])
    (reply,) = grid.pull_messages([message_id])
    traffic = grid.traffic["ana"]
    assert traffic.down == expected
    assert traffic.up == deflate([stamped(reply, reply.metadata.created_at)])[0].size
    assert (traffic.messages_down, traffic.messages_up) == (1, 1)
    assert grid.traffic["ben"].down == 0


def test_messages_have_the_ids_that_flower_gives_them(server):
    grid = LocalGrid(client_app(), clients(2))
    nodes = grid.get_node_ids()
    messages = [Message(content(np.zeros(8)), node, "train") for node in (*nodes, *nodes)]
    ids = grid.push_messages(messages)
    assert [message.metadata.message_id for message in messages] == ids
    assert len(set(ids)) == 4, "the same content sent twice is two messages"
    assert all(len(message_id) == 64 for message_id in ids)


def test_nodes_are_named(server):
    grid = LocalGrid(client_app(), {"ben": {"seed": 1}, "ana": {"seed": 0, "name": "mallory"}})
    assert list(grid.nodes) == ["ana", "ben"]
    assert grid.nodes["ana"].node_config == {"seed": 0, "name": "ana"}
    assert grid.get_node_ids() == [node_id("ana"), node_id("ben")]
    assert grid.nodes["ben"].node_id == node_id("ben") == 3_711_040_096_447_472_647
    assert all(1 < node_id(str(i)) < 2**63 for i in range(1000))


def test_clients_work_by_name_and_keep_their_state(server):
    worked: list[str] = []
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        worked.append(str(context.node_config["name"]))
        return Message(RecordDict({"n": MetricRecord({"n": count(context)})}), reply_to=message)

    grid = LocalGrid(app, {name: {} for name in ("cy", "ana", "ben")})
    for _ in range(2):
        nodes = [node_id(name) for name in ("ben", "cy", "ana")]
        got = gather(grid, [Message(RecordDict(), n, "train") for n in nodes], deadline=1, quorum=3)
    assert worked == ["ana", "ben", "cy"] * 2
    assert [reply.content["n"]["n"] for reply in got.replies.values()] == [2, 2, 2]


def test_what_a_foreign_exception_says_stays_at_home(server):
    heard: list[tuple[str, str]] = []
    grid = LocalGrid(client_app(), {"ana": {}}, on_failure=lambda *said: heard.append(said))
    assert ask(grid, "query.crash").errors == {node_id("ana"): "[2] the client failed; its own log says why"}
    assert ask(grid, "query.unknown").errors == {
        node_id("ana"): "[2] the client failed; its own log says why"
    }
    (name, text), (_, unknown) = heard
    assert name == "ana"
    assert SECRET in text
    assert "FileNotFoundError" in text
    assert "unknown" in unknown


def test_an_error_of_ours_says_its_message_on_one_line(server):
    grid = LocalGrid(client_app(), {"ana": {}})
    reason = "[2] RengaError: base weights differ from the cohort's"
    assert ask(grid, "query.refuse").errors == {node_id("ana"): reason}


def test_an_answer_to_another_message_is_an_error(server):
    got = ask(LocalGrid(client_app(), {"ana": {}}), "query.stray")
    assert "something else than a reply" in got.errors[node_id("ana")]


def test_what_cannot_travel_is_the_clients_error(server):
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return Message(RecordDict({"m": MetricRecord({"n": 2**80})}), reply_to=message)

    assert "the client failed" in ask(LocalGrid(app, {"ana": {}})).errors[node_id("ana")]


def test_the_mod_scrubs_like_the_grid(server):
    heard: list[str] = []
    app = ClientApp(mods=[scrub_failures(lambda name, text: heard.append(f"{name}: {text}"))])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        raise ValueError(SECRET)

    got = ask(LocalGrid(app, {"ana": {}}))
    assert got.errors == {node_id("ana"): "[2] the client failed; its own log says why"}
    assert heard[0].startswith("ana: ")
    assert SECRET in heard[0]


def test_reasons_are_short_and_printable():
    assert one_line("a\nb\t\x1b[31mc\x00") == "a b [31mc"
    assert len(one_line("x" * 10_000)) == 300
    assert SECRET not in failure_reason(KeyError(SECRET))


def test_a_lost_request_differs_from_a_lost_reply(server):
    plan: dict[tuple[str, str, int], Effect] = {
        ("client-000", "train", 1): "drop",
        ("client-001", "*", 1): "lose",
    }
    grid = LocalGrid(client_app(), clients(3), fault=planned(plan))
    got = ask(grid)
    assert got.pending == sorted([node_id("client-000"), node_id("client-001")])
    again = ask(grid, group_id="2")
    rounds = {n: again.replies[node_id(n)].content["config"]["rounds"] for n in grid.nodes}
    assert rounds == {"client-000": 1, "client-001": 2, "client-002": 2}
    assert grid.traffic["client-000"].messages_up == 1
    assert grid.traffic["client-001"].messages_up == 2


def test_seeded_faults_depend_on_nothing_but_their_key():
    fault = seeded(3, drop=0.3, lose=0.2, late=0.4, delay=10.0)
    keys = [(f"c{i}", "train", turn) for i in range(100) for turn in range(20)]
    effects = [fault(*key) for key in keys]
    assert effects == [seeded(3, drop=0.3, lose=0.2, late=0.4, delay=10.0)(*key) for key in keys]
    late = [effect for effect in effects if isinstance(effect, float)]
    assert abs(effects.count("drop") / 2000 - 0.3) < 0.04
    assert abs(effects.count("lose") / 2000 - 0.2) < 0.04
    assert abs(len(late) / 2000 - 0.4) < 0.04
    assert abs(sum(late) / len(late) - 10.0) < 1.0


def test_late_replies_are_kept_until_their_message_expires(server):
    grid = LocalGrid(client_app(), {"ana": {"seed": 0}}, fault=lambda *_: 5.0)
    ids = grid.push_messages([Message(RecordDict(), node_id("ana"), "query.stray", ttl=20)])
    assert grid.pull_messages(ids) == []
    grid.clock.sleep(5.0)
    assert len(grid.pull_messages(ids)) == 1
    assert grid.pull_messages(ids) == []
    ids = grid.push_messages([Message(RecordDict(), node_id("ana"), "query.stray", ttl=20)])
    grid.drain()
    grid.clock.sleep(20.1)
    assert grid.pull_messages(ids) == []
    grid.push_messages([])
    assert not grid._replies


def test_unknown_nodes_are_rejected(server):
    grid = LocalGrid(client_app(), clients(1))
    known, unknown = grid.get_node_ids()[0], 12345
    ids = grid.push_messages([Message(RecordDict(), n, "train") for n in (unknown, known)])
    assert [bool(message_id) for message_id in ids] == [False, True]


def test_send_and_receive_ends_by_timeout_or_ttl(server):
    grid = LocalGrid(client_app(), clients(3), fault=planned({("client-001", "*", 0): "drop"}))
    for timeout, seconds in ((30.0, 30.0), (None, 40.0)):
        start = grid.clock.monotonic()
        messages = [Message(content(np.zeros(8)), n, "train", ttl=40) for n in grid.get_node_ids()]
        assert len(grid.send_and_receive(messages, timeout=timeout)) == 2
        assert grid.clock.monotonic() - start == pytest.approx(seconds)


def test_flowers_own_strategy_runs_unchanged():
    result = []
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        strategy = FedAvg(min_available_nodes=3, arrayrecord_key="arrays")
        result.append(strategy.start(grid, ArrayRecord({"x": Array(np.zeros(8))}), num_rounds=2))

    client = ClientApp()

    def answer(message: Message, context: Context) -> Message:
        x = vector(message.content) + 1
        metrics = MetricRecord({"num-examples": 1, "loss": float(x.mean())})
        return Message(RecordDict({"arrays": ArrayRecord({"x": Array(x)}), "m": metrics}), reply_to=message)

    client.train()(answer)
    client.evaluate()(answer)
    run_server(app, LocalGrid(client, clients(3)), server_context())
    np.testing.assert_array_equal(result[0].arrays["x"].numpy(), np.full(8, 2.0))
    assert result[0].evaluate_metrics_clientapp[2]["loss"] == 3.0


def test_the_server_gets_flowers_context_and_its_last_messages_are_worked_on():
    worked: list[int] = []
    client = ClientApp()

    @client.query("goodbye")
    def goodbye(message: Message, context: Context) -> Message:
        worked.append(context.node_id)
        return Message(RecordDict(), reply_to=message)

    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        assert context.run_config == {"rounds": 2}
        grid.push_messages([Message(RecordDict(), n, "query.goodbye") for n in grid.get_node_ids()])

    grid = LocalGrid(client, clients(2), run_id=9)
    context = run_server(app, grid, server_context({"rounds": 2}, run_id=9))
    assert (context.node_id, context.run_id, context.node_config) == (SERVER_NODE_ID, 9, {})
    assert worked == list(grid.get_node_ids())
    assert grid.run.run_id == 9


def test_a_failing_server_fails_the_call():
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_server(app, LocalGrid(client_app(), {}), server_context())
    with pytest.raises(RuntimeError, match="not set"):
        Message(RecordDict(), 5, "train")


def test_a_hundred_nodes_are_quick():
    start = time.perf_counter()
    log: list[Gathered[Message]] = []
    grid = LocalGrid(client_app(), clients(100))
    run_server(server_app(log, rounds=3), grid, server_context())
    assert [len(got.replies) for got in log] == [100, 100, 100]
    assert time.perf_counter() - start < 10.0, "0.3 s on an idle core"
