"""What must hold of a Flower release before the range in pyproject.toml may include it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict

from renga.protocol import flower_internals as internals

IMPORTS = """
import json, sys, threading
FORBIDDEN = ("subprocess.Popen", "os.fork", "os.mkdir", "_thread.start_new_thread")
events = []
def watch(name, arguments):
    if name.startswith("socket.") or name in FORBIDDEN:
        events.append(name)
sys.addaudithook(watch)
import renga.protocol.flower_internals
import flwr.app, flwr.serverapp, flwr.clientapp
telemetry = sys.modules["flwr.supercore.telemetry"].FLWR_TELEMETRY_ENABLED
heavy = [name for name in ("torch", "ray", "sqlalchemy", "transformers") if name in sys.modules]
print(json.dumps([events, threading.active_count(), telemetry, heavy]))
"""


@pytest.mark.parametrize("before", ["", "import flwr.app\n"])
def test_importing_flower_starts_nothing_and_reports_nothing(before):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
    done = subprocess.run(
        [sys.executable, "-c", before + IMPORTS], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(done.stdout) == [[], 1, "0", []]


def test_the_switches_are_those_that_flower_reads():
    from flwr.common import constant
    from flwr.supercore import constant as core

    assert set(internals.QUIET) == {
        "FLWR_TELEMETRY_ENABLED",
        core.FLWR_DISABLE_UPDATE_CHECK,
        constant.FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION,
    }
    assert all(os.environ[name] == value for name, value in internals.QUIET.items())


def test_a_message_keeps_everything_through_its_wire_form(server):
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    content = RecordDict(
        {
            "arrays": ArrayRecord({"x": Array(x), "again": Array(x)}),
            "metrics": MetricRecord({"loss": 0.1, "steps": [1, 2]}),
            "config": ConfigRecord({"text": "連歌 🙂", "blob": b"\0\xff", "yes": True}),
        }
    )
    message = Message(content, 77, "train.adapter", ttl=12.5, group_id="3")
    (wire,) = internals.deflate([message])
    assert all(hashlib.sha256(blob).hexdigest() == name for name, blob in wire.objects.items())
    assert wire.size == sum(len(blob) for blob in wire.objects.values())
    copy = internals.inflate(wire)
    assert copy.metadata.message_id == wire.id
    internals.set_message_id(message, wire.id)
    assert copy.metadata == message.metadata
    assert copy.content == content
    np.testing.assert_array_equal(copy.content.array_records["arrays"]["x"].numpy(), x)
    assert wire.objects.keys() == internals.deflate([message])[0].objects.keys(), "inflating leaves the wire"


def test_an_error_travels(server):
    request = Message(RecordDict(), 77, "query")
    (wire,) = internals.deflate([Message(Error(2, "why"), reply_to=request)])
    copy = internals.inflate(wire)
    assert (copy.error.code, copy.error.reason) == (2, "why")
    assert not copy.has_content()


def test_stamping_leaves_the_original_alone(server):
    message = Message(RecordDict(), 77, "train", ttl=5)
    before = dict(message.metadata.__dict__)
    stamped = internals.stamped(message, 123.0, 9.0)
    assert (stamped.metadata.created_at, stamped.metadata.ttl) == (123.0, 9.0)
    assert stamped.content is message.content
    assert message.metadata.__dict__ == before


def test_the_identity_is_lent_and_taken_back():
    with internals.acting_as_server(5):
        message = Message(RecordDict(), 77, "train")
        assert (message.metadata.run_id, message.metadata.src_node_id) == (5, internals.SERVER_NODE_ID)
        with internals.acting_as_server(6):
            pass
        assert Message(RecordDict(), 77, "train").metadata.run_id == 5
    with pytest.raises(RuntimeError, match="not set"):
        Message(RecordDict(), 77, "train")


def test_only_one_module_knows_flowers_inside():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    public = ("flwr.app", "flwr.serverapp", "flwr.clientapp")
    for folder in ("renga", "protocol", "models", "server", "client", "simulations"):
        for path, _, files in os.walk(os.path.join(root, folder)):
            for file in (f for f in files if f.endswith(".py") and f != "flower_internals.py"):
                with open(os.path.join(path, file), encoding="utf-8") as source:
                    for line in source:
                        words = line.split()
                        if words[:1] in (["from"], ["import"]) and words[1].split(".")[0] == "flwr":
                            module = words[1]
                            allowed = module in public or module == "flwr.serverapp.strategy"
                            assert allowed, f"{folder}/{file}: {module} is private to Flower"
