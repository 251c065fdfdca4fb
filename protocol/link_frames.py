"""Flower messages as blobs: the objects of a message one after another, each under its sha256.

`RENGAMSG`, the length of a JSON header (u32, little-endian), the header
`{"id", "objects": [[sha256, bytes]]}`, the objects in that order. Every
object is checked against its name before Flower sees it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from renga.errors import RefusedPayload
from renga.protocol.flower_internals import Wire

MAGIC = b"RENGAMSG"
HEADER_LIMIT = 64 << 10
OBJECTS_LIMIT = 256


def packed(wire: Wire) -> Iterator[bytes]:
    """The bytes of a message, object by object."""
    objects = sorted(wire.objects.items())
    header = json.dumps(
        {"id": wire.id, "objects": [[name, len(data)] for name, data in objects]}, separators=(",", ":")
    ).encode()
    yield MAGIC + len(header).to_bytes(4, "little") + header
    for _, data in objects:
        yield data


def unpacked(blob: bytes | memoryview) -> Wire:
    """A message from its bytes. Raises RefusedPayload if they are anything else."""
    if blob[:8] != MAGIC or len(blob) < 12:
        raise RefusedPayload("the blob holds no message")
    length = int.from_bytes(blob[8:12], "little")
    if length > HEADER_LIMIT or 12 + length > len(blob):
        raise RefusedPayload("the message has no proper header")
    try:
        header = json.loads(bytes(blob[12 : 12 + length]))
        root, listed = header["id"], [(str(name), int(size)) for name, size in header["objects"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RefusedPayload("the message has no proper header") from error
    sizes = [size for _, size in listed]
    if len(listed) > OBJECTS_LIMIT or min(sizes, default=0) < 0 or 12 + length + sum(sizes) != len(blob):
        raise RefusedPayload("the message is not as long as it says")
    objects, start = {}, 12 + length
    for name, size in listed:
        data = bytes(memoryview(blob)[start : start + size])
        if hashlib.sha256(data).hexdigest() != name:
            raise RefusedPayload("a part of the message is not what its name says")
        objects[name] = data
        start += size
    if root not in objects:
        raise RefusedPayload("the message lacks its root")
    return Wire(str(root), objects)
