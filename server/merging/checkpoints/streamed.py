"""Merging checkpoints that don't fit in memory: part by part, block by block, from mapped files into the
draft.

Private memory is a few blocks per thread (a block is 65,536 elements of every input), whatever the size of
the tensors; the rest is the system's cache of the files. Every thread takes a tensor at a time, the large
ones first. Which thread does what changes no byte: blocks begin where the tensor says, and random numbers
belong to the element. Inputs are put into the order of their fingerprints, so that theirs in the command
changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import numpy as np

from renga.errors import RengaError, UsageError
from renga.server.merging.blocks import Chained, spans
from renga.server.merging.checkpoints.draft import Draft
from renga.server.merging.checkpoints.parts import Part, Updates
from renga.server.merging.checkpoints.precision import all_finite, encode, width
from renga.server.merging.draws import Draws
from renga.server.merging.kernels import Kernel
from renga.server.merging.methods import PER_INPUT, kernel
from renga.server.merging.parallel import keep_freed_memory
from renga.server.merging.shares import shares

Tick = Callable[[int], None]  # told how many more bytes are done


def merge_parts(
    parts: Sequence[Part], draft: Draft, *, seed: int, threads: int, tick: Tick, device: Any = None
) -> None:
    """Compute all parts that the draft doesn't have, and write them; `device` is torch's, None the CPU.

    Raises RengaError, naming the tensor, when a result can't be held by its format.
    """
    keep_freed_memory()
    settled = [_in_order(part) for part in parts]
    measured = _over_the_model(settled)
    waiting = sorted(
        (part for part in settled if part.name not in draft.finished),
        key=lambda part: -int(np.prod(part.shape, dtype=np.int64)),
    )
    tick(sum(_bytes(part) for part in settled if part.name in draft.finished))
    with ThreadPoolExecutor(threads) as pool:
        jobs = {pool.submit(_merge, part, draft, seed, measured, device): part for part in waiting}
        try:
            for job in as_completed(jobs):
                job.result()
                tick(_bytes(jobs[job]))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _bytes(part: Part) -> int:
    return int(np.prod(part.shape, dtype=np.int64)) * width(part.dtype)


def _in_order(part: Part) -> Part:
    """Without the inputs of weight zero, the others in the order of their fingerprints."""
    if part.method is None:
        return part
    kept = [number for number, weight in enumerate(part.weights) if weight != 0]
    kept.sort(key=lambda number: (part.sources[number].identity, part.weights[number]))
    options = {
        key: tuple(value[number] for number in kept)
        if key in PER_INPUT and isinstance(value, tuple)
        else value
        for key, value in part.options.items()
    }
    return replace(
        part,
        sources=tuple(part.sources[number] for number in kept),
        weights=tuple(part.weights[number] for number in kept),
        options=options,
    )


def _over_the_model(parts: Sequence[Part]) -> dict[str, Any]:
    """Thresholds that hold for the whole model, by the part's name."""
    chosen = [part for part in parts if part.whole_model and part.sources]
    if not chosen:
        return {}
    if len({tuple(source.identity for source in part.sources) for part in chosen}) > 1:
        raise UsageError(
            "a threshold over the whole model needs the same inputs in every tensor; some weights are zero",
            hint="measure it tensor by tensor: scope = tensor",
        )
    whole = Chained([Updates(part) for part in chosen])
    first = chosen[0]
    facts = _kernel(first).measure(whole, _share(first), _draws(first, 0))
    return {part.name: facts for part in chosen}


def _kernel(part: Part) -> Kernel:
    assert part.method is not None
    return kernel(part.method, len(part.sources), part.options)


def _share(part: Part) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return shares(part.weights, len(part.sources), normalise=part.options.get("normalise", True))


def _draws(part: Part, seed: int) -> Draws:
    return Draws(seed, part.name, [source.identity for source in part.sources])


def _merge(part: Part, draft: Draft, seed: int, measured: dict[str, Any], device: Any) -> None:
    if part.method is None:
        _copy(part, draft)
    elif not part.sources:
        _copy(replace(part, sources=(part.base,)), draft)  # type: ignore[arg-type]  # planned with a base
    else:
        _compute(part, draft, seed, measured, device)
    draft.finish(part.name, _bytes(part))


def _copy(part: Part, draft: Draft) -> None:
    source = part.sources[0]
    elements = source.elements
    for start, stop in spans(int(elements.size)):
        data = elements[start:stop]
        if source.dtype != part.dtype:
            wide = np.float64 if source.dtype == "F64" else np.float32
            data = _encoded(source.numbers(slice(start, stop), wide), part)
        draft.write(part.name, start * width(part.dtype), data)


def _compute(part: Part, draft: Draft, seed: int, measured: dict[str, Any], device: Any) -> None:
    updates, chosen, share, draws = Updates(part), _kernel(part), _share(part), _draws(part, seed)
    length = None
    if device is not None:
        from renga.server.merging.device_kernels import STRETCH, OnDevice

        chosen, length = OnDevice(chosen, device), STRETCH
    if not updates.size:
        return
    facts = measured[part.name] if part.name in measured else chosen.measure(updates, share, draws)
    wide = width(part.dtype)
    for start, stop in spans(updates.size, updates.columns if chosen.by_rows else 1, length):
        merged = chosen.merge(updates.read(start, stop), share, facts, start, updates.columns, draws)
        updates.add_base(merged, start)
        draft.write(part.name, start * wide, _encoded(merged, part))


def _encoded(numbers: Any, part: Part) -> Any:
    data = encode(numbers, part.dtype)
    if not all_finite(data, part.dtype):
        raise RengaError(
            f"tensor {part.name} of the result has values that {part.dtype} can't hold",
            hint="choose float32 or bfloat16 with --dtype, or smaller weights",
        )
    return data
