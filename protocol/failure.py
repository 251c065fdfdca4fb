"""What a client's failure says to the server: enough to act on, and nothing of what is private.

An exception's text may hold a path, a line of data, a prompt. Flower sends it to the server as it
is. Here only the messages of Renga's own errors leave, which are written to be read by others; of
anything else the server learns that it happened, and the traceback stays with the client.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from flwr.app import Context, Error, Message

from renga.errors import RengaError
from renga.protocol.flower_internals import CLIENT_FAILED

FailureLog = Callable[[str, str], None]
"""Told of a failure on the side where it happened: (client's name, traceback)."""

ClientFunction = Callable[[Message, Context], Message]

LIMIT = 300


def one_line(text: str, limit: int = LIMIT) -> str:
    """Text from elsewhere, made safe to show: one line, printable, at most `limit` characters."""
    flat = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    flat = " ".join(flat.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def failure_reason(error: BaseException) -> str:
    """The one line about an exception that may leave the client."""
    if isinstance(error, RengaError):
        return one_line(f"{type(error).__name__}: {error.message}")
    return "the client failed; its own log says why"


def scrub_failures(log: FailureLog | None = None) -> Callable[[Message, Context, ClientFunction], Message]:
    """A Flower mod for ClientApps: an exception becomes an error reply that says what may be said.

    For carriers that run the ClientApp in Flower's own processes, which would send the exception's text.
    """

    def mod(message: Message, context: Context, call_next: ClientFunction) -> Message:
        try:
            return call_next(message, context)
        except Exception as error:  # noqa: BLE001 - the edge of the client: nothing may pass unscrubbed
            if log is not None:
                log(str(context.node_config.get("name", context.node_id)), traceback.format_exc())
            return Message(Error(CLIENT_FAILED, failure_reason(error)), reply_to=message)

    return mod
