"""A signature is for one purpose, one manifest, one place."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as some

from renga.errors import RefusedPayload
from renga.protocol.signing import (
    ENROL,
    LIMIT,
    MESSAGE,
    Manifest,
    canonical,
    check,
    public_key,
    signed,
    verified,
)

KEY = Ed25519PrivateKey.generate()
MANIFEST = Manifest("ada", "f" * 32, "train.learn", 3, "m1", "b" * 64, "d" * 64, 10, "5" * 32)


def test_what_was_signed_is_read() -> None:
    assert verified(KEY.public_key(), *signed(KEY, MANIFEST)) == MANIFEST


@given(some.integers(0, 10_000), some.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_one_flipped_bit_is_noticed(place: int, bit: int) -> None:
    data, signature = signed(KEY, MANIFEST)
    whole = bytearray(data + signature)
    whole[place % len(whole)] ^= 1 << bit
    with pytest.raises(RefusedPayload):
        verified(KEY.public_key(), bytes(whole[: len(data)]), bytes(whole[len(data) :]))


@pytest.mark.parametrize("field", list(asdict(MANIFEST)))
def test_every_field_is_bound(field: str) -> None:
    _, signature = signed(KEY, MANIFEST)
    value = getattr(MANIFEST, field)
    changed: dict[str, Any] = {field: value + 1 if isinstance(value, int) else value + "x"}
    other = replace(MANIFEST, **changed)
    with pytest.raises(RefusedPayload, match="signature"):
        verified(KEY.public_key(), canonical(asdict(other)), signature)


def test_a_signature_for_something_else_does_not_serve() -> None:
    data = canonical(asdict(MANIFEST))
    for wrong in (KEY.sign(data), KEY.sign(ENROL + data), Ed25519PrivateKey.generate().sign(MESSAGE + data)):
        with pytest.raises(RefusedPayload, match="signature"):
            verified(KEY.public_key(), data, wrong)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        json.dumps(asdict(MANIFEST)).encode(),  # spaces: a second way to write the same
        canonical({**asdict(MANIFEST), "more": 1}),
        canonical({**asdict(MANIFEST), "round": True}),
        canonical({**asdict(MANIFEST), "size": "10"}),
        canonical({**asdict(MANIFEST), "sender": None}),
        canonical(asdict(MANIFEST))[:-1] + b',"round":4}',  # a key twice
        canonical({**asdict(MANIFEST), "sender": "x" * LIMIT}),
    ],
)
def test_there_is_one_way_to_write_it(data: bytes) -> None:
    with pytest.raises(RefusedPayload):
        verified(KEY.public_key(), data, KEY.sign(MESSAGE + data))


def test_what_is_no_key() -> None:
    with pytest.raises(RefusedPayload):
        public_key(b"short")
    with pytest.raises(RefusedPayload):
        check(KEY.public_key(), ENROL, b"x", b"not a signature")
