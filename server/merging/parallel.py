"""Modules side by side: one thread of linear algebra each, so that results don't depend on how many run."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

# Of glibc's malloc.h: from what size an array is a mapping of its own, and when free memory goes back.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 25  # bytes; the largest threshold for mappings that glibc takes

X = TypeVar("X")
Y = TypeVar("Y")


def side_by_side(f: Callable[[X], Y], items: Iterable[X], threads: int | None = None) -> list[Y]:
    """f of each item, in order, on `threads` threads (default: `cores`).

    NumPy leaves the interpreter's lock while it computes. Its BLAS is held to one thread: small matrices gain
    nothing from more, and the order in which a sum is taken then depends on nothing.
    """
    wanted = cores() if threads is None else max(1, threads)
    with one_thread_of_algebra():
        if wanted == 1:
            return [f(item) for item in items]
        with ThreadPoolExecutor(wanted) as pool:
            return list(pool.map(f, items))


def cores() -> int:
    """How many threads to use: OMP_NUM_THREADS where it is set, else the cores this process may use."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told) > 0:
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread_of_algebra() -> Iterator[None]:
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def keep_freed_memory() -> None:
    """Ask the C library to keep what is freed for the next block, where it can be asked (glibc).

    Blocks are of one size, made and freed without end. By default every array above 128 kB is a new mapping,
    whose pages the system clears one by one: a third of the time of DELLA.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        mallopt(parameter, _KEPT)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # finding the libraries takes longer than a small merge
