"""For all tests: nothing calls home; tests of the real models are skipped where these are missing."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    real = [item for item in items if item.get_closest_marker("real")]
    if not real or _fetched():
        return
    for item in real:
        item.add_marker(pytest.mark.skip(reason="needs the embedded models: run `make models`"))


def _fetched() -> bool:
    """Whether both are on this machine: as packages here, or prepared by another environment before."""
    from renga.models.references import describe

    return all(describe(name).fetched for name in ("SmolLM2-135M-Instruct", "gemma-3-270m"))
