"""Our packed payloads inside Flower messages, in the record "payload".

Flower carries every record and every array of a message by itself, at two requests a hop, and cuts long
arrays into parts. So a short payload is a value of the record, and a long one is an array in it. The short
ones say which version of the protocol they are of: where nobody has shaken hands, on somebody else's
SuperLink, the first thing that a node says tells.
"""

from __future__ import annotations

import io
import re
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol.versions import PROTOCOL, speaks

RECORD, PACKED, VERSION = "payload", "packed", "protocol"
SHORT = 256 << 10  # bytes

# The header of NumPy's file format for an array of bytes of one dimension: as Flower writes an Array's data.
_ROW_OF_BYTES = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '\|u1', 'fortran_order': False, 'shape': \((\d{1,12}),\), \} *\n",
    re.DOTALL,
)

# What each step of a round is called among Flower's message types.
MESSAGE_TYPES = {
    "describe": "query.describe",
    "learn": "train.learn",
    "answer": "query.answer",
    "exchange": "train.exchange",
    "judge": "evaluate.judge",
}


def _content(blob: NDArray[np.uint8]) -> RecordDict:
    if blob.size <= SHORT:
        return RecordDict({RECORD: ConfigRecord({PACKED: blob.tobytes(), VERSION: PROTOCOL})})
    # What Flower's Array(blob) is, which makes three copies on its way there.
    blob, header = np.ascontiguousarray(blob), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(blob))
    data = header.getvalue() + blob.tobytes()
    return RecordDict({RECORD: ArrayRecord({PACKED: Array("uint8", blob.shape, "numpy.ndarray", data)})})


def sealed(step: str, blob: NDArray[np.uint8], node: int, *, round: int, ttl: float) -> Message:
    """A request of one step to one node. `ttl` in seconds."""
    return Message(
        _content(blob), dst_node_id=node, message_type=MESSAGE_TYPES[step], ttl=ttl, group_id=str(round)
    )


def sealed_reply(blob: NDArray[np.uint8], request: Message) -> Message:
    """The reply to `request`."""
    return Message(_content(blob), reply_to=request)


def opened(message: Message) -> NDArray[np.uint8]:
    """The payload of a message, not copied. Raises RefusedPayload if it carries anything else, or one of
    another version of the protocol."""
    try:
        # Not `content.array_records`: that makes a cycle, and the message would live until it is collected.
        record = message.content[RECORD]
        if isinstance(record, ConfigRecord):
            speaks(int(cast(int, record[VERSION])))
            return np.frombuffer(cast(bytes, record[PACKED]), np.uint8)
        if not isinstance(record, ArrayRecord):
            raise TypeError("the payload is neither an array nor bytes")
        data = record[PACKED].data
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedPayload("the message carries no payload of ours") from error
    # Flower would let NumPy read this, which takes archives and allocates what a header claims.
    found = _ROW_OF_BYTES.match(data)
    if found is None or int(found[1]) != len(data) - found.end():
        raise RefusedPayload("the payload is not one row of bytes")
    return np.frombuffer(data, np.uint8, offset=found.end())
