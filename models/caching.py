"""How a forward pass is handed its cache: the argument's name has changed within transformers 5."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any


def handed(past: Any, model: Any) -> dict[str, Any]:
    """Keyword arguments that hand `past`, a cache or None, to the forward pass of `model`."""
    return {_name(model.forward.__func__): past}


@cache
def _name(forward: Callable[..., Any]) -> str:
    # Both names are taken for a while, the older with a warning on the user's terminal.
    return "cache" if "cache" in inspect.signature(forward).parameters else "past_key_values"
