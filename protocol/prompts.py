"""The one place where prompts become bytes that travel, and bytes prompts. A raw prompt does not travel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from renga.errors import RefusedPayload, UsageError
from renga.protocol import link_pb2 as wire

ROLES = frozenset({"system", "user", "assistant"})
MOST_TURNS = 1000


def opening(
    model: str,
    vocabulary: str,
    text: str,
    public: bool,
    raw: bool,
    slots: wire.Slots | None = None,
    before: Sequence[tuple[str, str]] = (),
) -> wire.SessionRequest:
    """Ask for a session on `model` that has read `text`, behind `slots`, which stand for a part of it, and
    what was said `before` (roles and texts). Raises UsageError if it is raw."""
    if raw:
        raise UsageError(
            "a raw prompt does not leave this device", hint="--public, if nothing in it is private"
        )
    clearance = wire.CLEARANCE_PUBLIC if public else wire.CLEARANCE_SANITISED
    return wire.SessionRequest(
        open=wire.Open(
            model=model,
            vocabulary=vocabulary,
            prompt=text,
            clearance=clearance,
            slots=slots,
            before=said(before),
        )
    )


def said(before: Iterable[tuple[str, str]]) -> list[wire.Said]:
    """Roles and texts as they travel."""
    return [wire.Said(role=role, text=text) for role, text in before]


def heard(before: Sequence[wire.Said], most_bytes: int) -> list[tuple[str, str]]:
    """Roles and texts that came. Raises RefusedPayload for what no conversation is, or too long a one."""
    if len(before) > MOST_TURNS or sum(len(one.text.encode()) for one in before) > most_bytes:
        raise RefusedPayload(
            f"what was said before has at most {MOST_TURNS} turns and {most_bytes:,} bytes here: "
            "begin another conversation"
        )
    if any(one.role not in ROLES for one in before):
        raise RefusedPayload("a turn is by system, user or assistant")
    return [(one.role, one.text) for one in before]
