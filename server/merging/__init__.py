"""Many adapters, or checkpoints, into one: `merge` for adapters, and a module for each idea."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`merge`, imported when it is asked for (docs/decisions.md says why not before)."""
    if name == "merge":
        from renga.server.merging.adapters import merge

        return merge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
