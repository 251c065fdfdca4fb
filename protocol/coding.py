"""Numbers in fewer bytes, vectorised: bf16, 8-bit blocks, 8-bit log-probabilities, 2- and 3-byte ids.

Everything here maps arrays to arrays and knows nothing of messages. Decoders accept any code (each
has a meaning) except where a ValueError is documented; ranges are checked where the meaning is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

BLOCK = 64
"""Values that share one scale in `to_blocks8`."""

LOG8_FLOOR = -16.0
"""Natural log-probabilities below this are coded as this (a probability of 1.1e-7)."""

LOG8_ERROR = 0.0627
"""Largest error of `to_log8` anywhere in [-16, 0], in nats; near 0 it is far smaller, see there."""


# --- bfloat16 ------------------------------------------------------------------------------------


def to_bf16(x: F32) -> NDArray[np.uint16]:
    """The upper half of each float32, rounded to nearest, ties to even. Relative error at most 2**-8.

    NaN stays NaN; values above the largest bfloat16 (3.39e38) become infinite, as rounding demands.
    """
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF)) >> 16).astype(np.uint16)
    # The carry could turn a NaN with a full mantissa into an infinity or a zero.
    nan = ((bits >> 16).astype(np.uint16) & np.uint16(0x8000)) | np.uint16(0x7FC0)
    return np.where(np.isnan(x), nan, rounded)


def from_bf16(codes: NDArray[np.uint16]) -> F32:
    """Exactly the value that each bfloat16 stands for."""
    return (np.ascontiguousarray(codes).astype(np.uint32) << 16).view(np.float32)


# --- int8 in blocks of 64 -------------------------------------------------------------------------


class Blocks8(NamedTuple):
    """An array in 8-bit blocks: value i is codes[i] * scales[i // 64]."""

    codes: NDArray[np.int8]  # [n], in -127..127
    scales: F32  # [ceil(n / 64)], not negative


def to_blocks8(x: F32) -> Blocks8:
    """`x` [any shape, n values] in int8 with one float32 scale per 64 values in memory order.

    4n / (n + n/16) = 3.76 times smaller than float32. The error of a value is at most half its
    block's scale, which is the block's largest magnitude / 127. float16 scales would give 3.88, but
    they stop at 6e-8, and a LoRA factor early in training is smaller than 127 times that.
    Raises ValueError when a value is not finite.
    """
    flat = np.ascontiguousarray(x, dtype=np.float32).reshape(-1)
    if not np.isfinite(flat).all():
        raise ValueError("only finite values can be coded in blocks")
    blocks = np.zeros((-(-flat.size // BLOCK), BLOCK), dtype=np.float32)
    blocks.reshape(-1)[: flat.size] = flat
    scales = np.abs(blocks).max(axis=1) / np.float32(127)
    # A block whose scale is subnormal would divide by something rounded badly: it counts as zero.
    scales[scales < np.finfo(np.float32).tiny] = 0
    codes = np.rint(blocks / np.where(scales > 0, scales, np.float32(1))[:, None])
    return Blocks8(np.clip(codes, -127, 127).astype(np.int8).reshape(-1)[: flat.size], scales)


def from_blocks8(coded: Blocks8) -> F32:
    """The values [n]. Raises ValueError when the number of scales doesn't fit the number of codes."""
    codes, scales = coded
    if codes.ndim != 1 or scales.shape != (-(-codes.size // BLOCK),):
        raise ValueError(f"{codes.size} codes need {-(-codes.size // BLOCK)} scales, not {scales.shape}")
    with np.errstate(over="ignore", invalid="ignore"):  # scales from outside: the caller checks the values
        return codes.astype(np.float32) * np.repeat(scales, BLOCK)[: codes.size]


def encode_with_feedback(x: F32, residual: F32 | None) -> tuple[Blocks8, F32]:
    """Code x + residual, and give the error made, to be added to what is sent next.

    Error feedback (Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847): the sum of what
    was decoded over many sends stays within one residual of the sum of what was meant. It holds for
    values whose coordinates mean the same each time; LoRA factors that a merge has rotated in
    between (B T, T^-1 A) are not such, so a residual must not outlive the factors that it came from.
    Returns the coded array and the new residual, of x's shape. `residual` None stands for zeros.
    """
    wanted = x.astype(np.float32) if residual is None else x + residual
    coded = to_blocks8(wanted)
    return coded, wanted - from_blocks8(coded).reshape(x.shape)


# --- log-probabilities in 8 bits ------------------------------------------------------------------

# Level c stands for -16 (c/255)^2.
_LEVELS: NDArray[np.float64] = LOG8_FLOOR * (np.arange(256) / 255.0) ** 2
_MIDPOINTS: NDArray[np.float64] = -(_LEVELS[1:] + _LEVELS[:-1]) / 2


def to_log8(logp: NDArray[Any]) -> NDArray[np.uint8]:
    """Natural log-probabilities as the nearest of 256 levels -16 (c/255)^2, c = 0..255.

    For x = -logp in [0, 16] the error is at most 4 sqrt(x)/255 + 8/255^2: 0.0001 nats at
    probability 1, 0.0158 at 1/e, 0.0314 at x = 4, 0.0627 at the end. Even steps would err by 0.0314
    everywhere, thus by 0.0314 in the probability of a sure token; here the error in probability,
    p times the error in nats, is nowhere above 0.007. What teaches is the large probabilities.
    Below -16: coded as -16. Above 0 (rounding of a softmax): as 0. Order is kept, ties may appear.
    Raises ValueError for NaN.
    """
    x = -np.asarray(logp, dtype=np.float64)
    if np.isnan(x).any():
        raise ValueError("a log-probability is NaN")
    return np.searchsorted(_MIDPOINTS, x).astype(np.uint8)


def from_log8(codes: NDArray[np.uint8]) -> F32:
    """Natural log-probabilities in [-16, 0]; any byte is valid."""
    return _LEVELS.astype(np.float32)[codes]


# --- token ids ------------------------------------------------------------------------------------


def to_ids(ids: NDArray[Any], vocabulary_size: int) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """Token ids [n] as uint16 [n] when the vocabulary has at most 65,536, else as 3 bytes each, [n, 3].

    Raises ValueError when an id lies outside the vocabulary or this needs more than 24 bits.
    """
    if vocabulary_size > 1 << 24:
        raise ValueError(f"a vocabulary of {vocabulary_size} needs more than 3 bytes per id")
    if ids.size and (ids.min() < 0 or ids.max() >= vocabulary_size):
        raise ValueError(f"an id lies outside the vocabulary of {vocabulary_size}")
    if vocabulary_size <= 1 << 16:
        return ids.astype(np.uint16)
    wide = np.ascontiguousarray(ids, dtype="<u4").reshape(-1, 1).view(np.uint8)
    return np.ascontiguousarray(wide[:, :3])


def from_ids(coded: NDArray[Any], vocabulary_size: int) -> NDArray[np.int32]:
    """Token ids, int32 [n]. Raises ValueError on the wrong form or an id outside the vocabulary."""
    if vocabulary_size <= 1 << 16:
        if coded.dtype != np.uint16 or coded.ndim != 1:
            raise ValueError(f"ids of a vocabulary of {vocabulary_size} are uint16 [n]")
        ids = coded.astype(np.int32)
    else:
        if coded.dtype != np.uint8 or coded.ndim != 2 or coded.shape[1] != 3:
            raise ValueError(f"ids of a vocabulary of {vocabulary_size} are uint8 [n, 3]")
        wide = np.zeros((coded.shape[0], 4), dtype=np.uint8)
        wide[:, :3] = coded
        ids = wide.view("<u4").reshape(-1).astype(np.int32)
    if ids.size and ids.max() >= vocabulary_size:
        raise ValueError(f"id {ids.max()} lies outside the vocabulary of {vocabulary_size}")
    return ids
