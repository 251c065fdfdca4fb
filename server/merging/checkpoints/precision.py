"""The number formats of checkpoints, to float32 and back, without torch.

bfloat16 is the upper half of a float32. Written values are rounded to the nearest, ties to even, as every
framework does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.server.merging.blocks import Floats

Raw = NDArray[np.uint8]

# By their names in safetensors.
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
OTHERS = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}

_STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1",
}  # fmt: skip


def width(dtype: str) -> int:
    """Bytes of an element of a format that `FLOATS` or `OTHERS` names."""
    return FLOATS.get(dtype) or OTHERS[dtype]


def stored(raw: Raw, dtype: str) -> NDArray[Any]:
    """Bytes as elements of their format; bfloat16 as uint16. A view."""
    return raw.view(_STORED[dtype])


def decode(elements: NDArray[Any], dtype: str, into: Floats) -> None:
    """Elements (as `stored` gives them) as numbers, written into an array of float32 or float64."""
    if dtype != "BF16":
        into[:] = elements
    elif into.dtype == np.float32:
        bits = into.view(np.uint32)
        bits[:] = elements
        bits <<= np.uint32(16)
    else:
        into[:] = (elements.astype(np.uint32) << np.uint32(16)).view(np.float32)


def encode(values: Floats, dtype: str) -> NDArray[Any]:
    """Numbers in the format of a checkpoint, rounded; values it can't hold become infinite."""
    if dtype != "BF16":
        with np.errstate(over="ignore"):
            return values.astype(_STORED[dtype], copy=False)
    bits = values.astype(np.float32, copy=False).view(np.uint32)
    odd = bits >> np.uint32(16)
    odd &= np.uint32(1)
    odd += np.uint32(0x7FFF)
    odd += bits
    odd >>= np.uint32(16)
    return odd.astype("<u2")


def all_finite(elements: NDArray[Any], dtype: str) -> bool:
    """Whether elements (as `stored` gives them) hold neither NaN nor infinity."""
    if dtype == "BF16":
        return bool(((elements & np.uint16(0x7F80)) != np.uint16(0x7F80)).all())
    return bool(np.isfinite(elements).all())
