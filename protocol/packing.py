"""Many named arrays and a little JSON in one uint8 array, and back without trusting the bytes.

Flower moves at least two objects for every array, so a message of ours is one array however many
tensors it holds. The layout, little-endian throughout:

    bytes 0..2   b"RPK"
    byte  3      version (1)
    bytes 4..7   length of the header, uint32
    header       canonical JSON {"arrays": [[name, dtype, shape], ...], "meta": {...}}, padded with
                 spaces so that the data begins on a multiple of 8
    data         the arrays' bytes, one after the other, nothing between or after them

Arrays are ordered by item size, largest first, then by name: each is then aligned without padding.
No offset is ever read from outside; all follow from the shapes. One content has exactly one
encoding (`unpack` refuses any other), so packs can be compared, signed and addressed by hash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Array: TypeAlias = NDArray[Any]

MAGIC = b"RPK"
VERSION = 1
PREAMBLE = 8
ALIGNMENT = 8
HEADER_LIMIT = 1 << 20
MAX_DIMENSIONS = 4
MAX_NAME = 256

# No bool (bytes other than 0 and 1 would be neither), no object, no string, no complex.
DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "float16", "float32", "float64",
        "int8", "int16", "int32", "int64",
        "uint8", "uint16", "uint32", "uint64",
    )
}  # fmt: skip


def pack(arrays: Mapping[str, Array], meta: Mapping[str, JSON]) -> NDArray[np.uint8]:
    """One uint8 array [n] that holds `arrays` and `meta`. Equal contents give equal bytes.

    Raises ValueError on what could not be read back (another dtype, more than 4 dimensions, a
    header above 1 MiB, NaN in `meta`): these are mistakes of the caller, not of a peer.
    """
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"array {name!r} has dtype {array.dtype}; known: {', '.join(DTYPES)}")
        if array.ndim > MAX_DIMENSIONS or not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"array {name!r} has more than {MAX_DIMENSIONS} dimensions or no proper name")
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    index = [[name, arrays[name].dtype.name, list(arrays[name].shape)] for name in order]
    header = _canonical({"arrays": index, "meta": dict(meta)})
    if len(header) > HEADER_LIMIT:
        raise ValueError(f"the header takes {len(header)} bytes; at most {HEADER_LIMIT}")
    start = PREAMBLE + len(header)
    blob = np.empty(start + sum(arrays[name].nbytes for name in order), dtype=np.uint8)
    preamble = MAGIC + bytes([VERSION]) + len(header).to_bytes(4, "little")
    blob[:start] = np.frombuffer(preamble + header, dtype=np.uint8)
    for name in order:
        array = arrays[name]
        # The slice is contiguous, so this writes into the blob: each tensor is copied once.
        blob[start : start + array.nbytes].view(DTYPES[array.dtype.name]).reshape(array.shape)[...] = array
        start += array.nbytes
    return blob


def unpack(blob: Array, *, limit_bytes: int) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the meta of a pack. The arrays are read-only views of `blob`: nothing is copied.

    Raises RefusedPayload for anything that `pack` would not have written, or above `limit_bytes`.
    What the values mean (finite, in range) is for the caller to check.
    """
    if not isinstance(blob, np.ndarray) or blob.dtype != np.uint8 or blob.ndim != 1:
        raise _refused("it is not one array of bytes")
    if blob.size > limit_bytes:
        raise _refused(f"it has {blob.size} bytes; at most {limit_bytes} are taken")
    if blob.size < PREAMBLE or blob[:3].tobytes() != MAGIC:
        raise _refused("it does not begin as a pack does")
    if blob[3] != VERSION:
        raise RefusedPayload(
            f"packed payload refused: version {int(blob[3])}, this Renga reads version {VERSION}",
            hint="install the same release of Renga on both sides",
        )
    length = int.from_bytes(blob[4:PREAMBLE].tobytes(), "little")
    start = PREAMBLE + length
    if length > HEADER_LIMIT or start > blob.size or start % ALIGNMENT:
        raise _refused(f"a header of {length} bytes does not fit")
    index, meta = _header(blob[PREAMBLE:start].tobytes())

    blob = np.ascontiguousarray(blob)
    arrays: dict[str, Array] = {}
    before: tuple[int, str] | None = None
    for name, dtype, shape in index:
        key = (-dtype.itemsize, name)
        if before is not None and key <= before:
            raise _refused(f"array {name!r} is repeated or out of order")
        before = key
        # max(d, 1): NumPy refuses [0, 2**40, 2**40] although it is empty; so do we, before it.
        if math.prod(max(d, 1) for d in shape) * dtype.itemsize > limit_bytes:
            raise _refused(f"array {name!r} of shape {shape} is above {limit_bytes} bytes")
        nbytes = math.prod(shape) * dtype.itemsize
        if start + nbytes > blob.size:
            raise _refused(f"array {name!r} ends after the last byte")
        view = blob[start : start + nbytes].view(dtype).reshape(shape)
        view.flags.writeable = False
        arrays[name] = view
        start += nbytes
    if start != blob.size:
        raise _refused(f"{blob.size - start} bytes belong to no array")
    return arrays, meta


def _header(data: bytes) -> tuple[list[tuple[str, np.dtype[Any], tuple[int, ...]]], dict[str, Any]]:
    try:
        header = json.loads(data.decode("utf-8"))
        # Also catches repeated keys, NaN, 1e999, lone surrogates and odd spacing.
        canonical = _canonical(header) == data
    except (ValueError, RecursionError) as error:
        raise _refused("its header is not JSON") from error
    if not canonical or not isinstance(header, dict) or set(header) != {"arrays", "meta"}:
        raise _refused("its header is not in the one form allowed")
    if not isinstance(header["arrays"], list) or not isinstance(header["meta"], dict):
        raise _refused("its header is not in the one form allowed")
    index = []
    for entry in header["arrays"]:
        if not isinstance(entry, list) or len(entry) != 3:
            raise _refused("an entry of its index is not [name, dtype, shape]")
        name, dtype, shape = entry
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise _refused("an array has no proper name")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise _refused(f"array {name!r} has a dtype that is not allowed")
        # type(d) is int: True is an int to isinstance.
        if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
            raise _refused(f"array {name!r} has no proper shape")
        if any(type(d) is not int or not 0 <= d < 1 << 48 for d in shape):
            raise _refused(f"array {name!r} has no proper shape")
        index.append((name, DTYPES[dtype], tuple(shape)))
    return index, header["meta"]


def _canonical(header: Mapping[str, JSON]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    data = text.encode("utf-8")
    return data + b" " * (-(PREAMBLE + len(data)) % ALIGNMENT)


def _refused(why: str) -> RefusedPayload:
    return RefusedPayload(
        f"packed payload refused: {why}",
        hint="the sender is broken, hostile or of another release; nothing of the payload was used",
    )
