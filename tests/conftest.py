"""For all tests: nothing calls home, and no test changes the environment of the next."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from renga.boundary import QUIET

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # as a first model would set it, in whatever test
for name, value in QUIET.items():
    os.environ.setdefault(name, value)


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """What a test, or a command that it runs, leaves in the environment changes what later tests do."""
    before = _ours()
    yield
    assert _ours() == before


def _ours() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RENGA_")}
