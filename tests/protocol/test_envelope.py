"""Payloads in Flower messages: what Flower itself would write, and gone as soon as nobody looks at them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from renga.protocol.envelope import opened, sealed
from renga.protocol.flower_internals import acting_as_server, deflate, inflate, stamped


@pytest.mark.parametrize("blob", [np.zeros(0, np.uint8), np.arange(200, dtype=np.uint8)[::3]])
def test_the_bytes_are_those_of_flowers_own_array(blob: np.ndarray) -> None:
    with acting_as_server(1):
        record = sealed("learn", blob, 5, round=1, ttl=9.0).content["payload"]
    assert isinstance(record, ArrayRecord)
    assert record["packed"] == Array(blob)


def test_a_message_that_was_opened_is_gone_with_its_last_name() -> None:
    with acting_as_server(1):
        asked = sealed("learn", np.ones(9, np.uint8), 5, round=1, ttl=9.0)
    (wire,) = deflate([stamped(asked, 1.0)])
    gc.disable()
    try:
        message = inflate(wire)
        content = weakref.ref(message.content)
        assert opened(message).tolist() == [1] * 9
        del message
        assert content() is None
    finally:
        gc.enable()
