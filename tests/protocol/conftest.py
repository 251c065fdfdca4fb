from __future__ import annotations

from collections.abc import Iterator

import pytest

from renga.protocol.flower_internals import acting_as_server


@pytest.fixture
def server() -> Iterator[None]:
    """Messages may be built as the server of run 1."""
    with acting_as_server(1):
        yield
