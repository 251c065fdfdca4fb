"""The one place where prompts become bytes that travel. A raw prompt does not."""

from __future__ import annotations

from renga.errors import UsageError
from renga.protocol import link_pb2 as wire


def opening(
    model: str, vocabulary: str, text: str, public: bool, raw: bool, slots: wire.Slots | None = None
) -> wire.SessionRequest:
    """Ask for a session on `model` that has read `text`, behind `slots`, which stand for a part of it. Raises
    UsageError if it is raw."""
    if raw:
        raise UsageError(
            "a raw prompt does not leave this device", hint="--public, if nothing in it is private"
        )
    clearance = wire.CLEARANCE_PUBLIC if public else wire.CLEARANCE_SANITISED
    return wire.SessionRequest(
        open=wire.Open(model=model, vocabulary=vocabulary, prompt=text, clearance=clearance, slots=slots)
    )
