"""Our packed payloads inside Flower messages: one array, in the record "payload"."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from numpy.typing import NDArray

from renga.errors import RefusedPayload

RECORD, ARRAY = "payload", "packed"

# What each step of a round is called among Flower's message types.
MESSAGE_TYPES = {
    "describe": "query.describe",
    "learn": "train.learn",
    "exchange": "train.exchange",
    "judge": "evaluate.judge",
}


def _content(blob: NDArray[np.uint8]) -> RecordDict:
    return RecordDict({RECORD: ArrayRecord({ARRAY: Array(blob)})})


def sealed(step: str, blob: NDArray[np.uint8], node: int, *, round: int, ttl: float) -> Message:
    """A request of one step to one node. `ttl` in seconds."""
    return Message(
        _content(blob), dst_node_id=node, message_type=MESSAGE_TYPES[step], ttl=ttl, group_id=str(round)
    )


def sealed_reply(blob: NDArray[np.uint8], request: Message) -> Message:
    """The reply to `request`."""
    return Message(_content(blob), reply_to=request)


def opened(message: Message) -> NDArray[np.uint8]:
    """The payload of a message. Raises RefusedPayload if it carries anything else."""
    try:
        blob = message.content.array_records[RECORD][ARRAY].numpy()
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedPayload("the message carries no payload of ours") from error
    if blob.dtype != np.uint8 or blob.ndim != 1:
        raise RefusedPayload("the payload is not one row of bytes")
    return np.asarray(blob)
