"""The transfer set as it travels: the lines that both sides hold, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from renga.errors import RefusedPayload

LIMIT = 64 << 20  # bytes

Line = tuple[str, str | None, list[str], str]  # prompt, response, choices, domain


def packed(lines: Iterable[Line]) -> bytes:
    """One JSON list a line."""
    return "".join(json.dumps(list(line), ensure_ascii=False) + "\n" for line in lines).encode()


def unpacked(data: bytes) -> list[Line]:
    """Raises RefusedPayload for anything but such lines."""
    try:
        found = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    except (ValueError, RecursionError) as error:
        raise RefusedPayload("the transfer set can't be read") from error
    return [_line(value) for value in found]


def fingerprint(lines: Iterable[Line]) -> str:
    """sha256 over the set: both sides hold the same or they don't speak."""
    return hashlib.sha256(json.dumps([list(line) for line in lines], ensure_ascii=False).encode()).hexdigest()


def _line(value: Any) -> Line:
    match value:
        case [str(prompt), str() | None as response, list(choices), str(domain)] if all(
            isinstance(choice, str) for choice in choices
        ):
            return prompt, response, choices, domain
    raise RefusedPayload("a line of the transfer set is not a text")
