"""A federation in numpy, small enough to see through: clients nudge a vector, the server averages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from renga.errors import RengaError
from renga.protocol.gather import Gathered, gather

SECRET = "/home/ana/private/letters.jsonl"


def vector(record: RecordDict) -> np.ndarray:
    return record.array_records["arrays"]["x"].numpy()


def content(x: np.ndarray, **config: int) -> RecordDict:
    return RecordDict({"arrays": ArrayRecord({"x": Array(x)}), "config": ConfigRecord(dict(config))})


def count(context: Context) -> int:
    """How often this was asked of the client, counted in its state."""
    seen = context.state.metric_records.get("seen", MetricRecord({"times": 0}))
    times = int(str(seen["times"])) + 1
    context.state["seen"] = MetricRecord({"times": times})
    return times


def client_app() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        rounds = count(context)
        rng = np.random.default_rng([int(context.node_config["seed"]), rounds])
        return Message(content(vector(message.content) + rng.normal(size=8), rounds=rounds), reply_to=message)

    @app.query("crash")
    def crash(message: Message, context: Context) -> Message:
        raise FileNotFoundError(SECRET)

    @app.query("refuse")
    def refuse(message: Message, context: Context) -> Message:
        raise RengaError("base weights differ\nfrom the cohort's", hint=SECRET)

    @app.query("stray")
    def stray(message: Message, context: Context) -> Message:
        message.metadata.__dict__["_message_id"] = "elsewhere"
        return Message(RecordDict(), reply_to=message)

    @app.query("vandal")
    def vandal(message: Message, context: Context) -> Message:
        arrays = message.content.array_records["arrays"]
        x = arrays["x"]
        arrays["x"] = Array(np.full(8, np.nan))
        return Message(RecordDict({"arrays": ArrayRecord({"x": x})}), reply_to=message)

    return app


def server_app(log: list[Gathered[Message]], *, rounds: int = 2, **terms: float) -> ServerApp:
    """terms: deadline, quorum, grace of `gather`; quorum defaults to everybody."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        x = np.zeros(8)
        for turn in range(1, rounds + 1):
            nodes = sorted(grid.get_node_ids())
            messages = [Message(content(x), node, "train", group_id=str(turn)) for node in nodes]
            quorum = int(terms.get("quorum", len(nodes)))
            deadline, grace = terms.get("deadline", 60.0), terms.get("grace", 0.0)
            got = gather(grid, messages, deadline=deadline, quorum=quorum, grace=grace)
            log.append(got)
            x = np.mean([vector(reply.content) for reply in got.replies.values()], axis=0)
        context.state["result"] = ArrayRecord({"x": Array(x)})

    return app


def clients(count: int) -> Mapping[str, dict[str, int]]:
    return {f"client-{i:03d}": {"seed": i} for i in range(count)}
