"""Payloads in Flower messages: what Flower itself would write, and gone as soon as nobody looks at them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord

from renga.errors import RefusedPayload
from renga.protocol.envelope import SHORT, opened, sealed
from renga.protocol.flower_internals import acting_as_server, deflate, inflate, stamped
from renga.protocol.versions import PROTOCOL


@pytest.mark.parametrize("blob", [np.zeros(SHORT + 1, np.uint8), np.ones(5 * SHORT, np.uint8)[::3]])
def test_the_bytes_are_those_of_flowers_own_array(blob: np.ndarray) -> None:
    with acting_as_server(1):
        record = sealed("learn", blob, 5, round=1, ttl=9.0).content["payload"]
    assert isinstance(record, ArrayRecord)
    assert record["packed"] == Array(blob)


def test_a_short_payload_travels_in_three_parts_and_a_long_one_in_more() -> None:
    with acting_as_server(1):
        short, long = (
            sealed("learn", np.zeros(n, np.uint8), 5, round=1, ttl=9.0) for n in (SHORT, SHORT + 1)
        )
    assert [len(wire.objects) for wire in deflate([short, long])] == [3, 5]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"protocol": PROTOCOL + 1}, f"speaks version {PROTOCOL + 1} of the protocol"),
        ({"protocol": "two"}, "no payload of ours"),
        ({"packed": 5}, "no payload of ours"),
        ({"packed": "text"}, "no payload of ours"),
        ({"packed": [1, 2]}, "no payload of ours"),
    ],
)
def test_a_payload_of_another_version_is_told_and_one_of_no_kind_refused(
    changed: dict[str, Any], said: str
) -> None:
    with acting_as_server(1):
        message = sealed("learn", np.ones(9, np.uint8), 5, round=1, ttl=9.0)
    message.content["payload"] = ConfigRecord({**message.content.config_records["payload"], **changed})
    with pytest.raises(RefusedPayload, match=said):
        opened(message)


@pytest.mark.parametrize("size", [9, SHORT + 1])
def test_a_message_that_was_opened_is_gone_with_its_last_name(size: int) -> None:
    with acting_as_server(1):
        asked = sealed("learn", np.ones(size, np.uint8), 5, round=1, ttl=9.0)
    (wire,) = deflate([stamped(asked, 1.0)])
    gc.disable()
    try:
        message = inflate(wire)
        content = weakref.ref(message.content)
        assert opened(message).sum() == size
        del message
        assert content() is None
    finally:
        gc.enable()
