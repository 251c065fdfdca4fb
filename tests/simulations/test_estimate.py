"""Estimates: exact where they can be, and of the right size where they can't."""

from __future__ import annotations

import numpy as np
import pytest

from renga.models.example import Example
from renga.protocol.coding import to_blocks8
from renga.simulations import estimate


def test_codings_take_what_is_said() -> None:
    blocks = to_blocks8(np.ones(6400, np.float32))
    assert blocks.codes.nbytes + blocks.scales.nbytes == 6400 * estimate.CODING_BYTES["blocks8"]


def test_text_is_counted_in_bytes() -> None:
    texts = estimate.measure([Example("a" * 40, "b" * 8), Example("é" * 20, None)])
    assert texts.count == 2
    assert texts.prompt_tokens == 20 + 2 * estimate.TEMPLATE_TOKENS
    assert texts.response_tokens == 2 + 2
    assert estimate.measure([]).tokens == 0


def test_a_matrix_product_has_a_speed() -> None:
    assert 1e8 < estimate.matrix_speed(1) < 1e14


@pytest.mark.parametrize("vocabulary", [49_152, 262_144])
def test_a_row_is_about_seventy_bytes_at_most(vocabulary: int) -> None:
    assert 50 < estimate.row_bytes(16, vocabulary) <= 70
