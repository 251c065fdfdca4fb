"""Where a merge computes: on the CPU, or on a GPU where there is one.

torch is imported only where a driver is found or a GPU is asked for: a merge on the CPU does without it.
"""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING

from renga.errors import UsageError

if TYPE_CHECKING:
    import torch


def chosen(name: str) -> torch.device | None:
    """The device of "auto", "cpu", "cuda" or "cuda:N"; None is the CPU, without torch.

    UsageError for other names, and for a GPU that isn't here.
    """
    if name != "auto" and not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"unknown device {name!r}", hint="one of auto, cpu, cuda, cuda:N")
    if name == "cpu" or (name == "auto" and not _driver()):
        return None
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count and name == "auto":
        return None
    if not count:
        raise UsageError("no CUDA device here", hint="--device cpu")
    device = torch.device("cuda" if name == "auto" else name)
    if (device.index or 0) >= count:
        raise UsageError(f"no CUDA device {device.index} here", hint=f"there are {count}, from 0")
    return device


def _driver() -> bool:
    """Whether NVIDIA's driver can be loaded."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
