"""An invitation in one line: where the server is, whom to trust, and a certificate that opens one door.

The same line with another beginning is an operator's token. Both are secrets: they hold a private key.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass

from renga.errors import UsageError

INVITE, OPERATOR = "renga-invite:", "renga-operator:"
VERSION = 1


@dataclass(frozen=True, repr=False)
class Ticket:
    """address: `host:port`. The other fields are PEM; `expires` is in Unix seconds."""

    address: str
    name: str
    authority: str
    certificate: str
    key: str
    expires: float

    def __repr__(self) -> str:  # a key has no place in a log
        return f"Ticket({self.address!r}, {self.name!r})"


def write_ticket(ticket: Ticket, kind: str = INVITE) -> str:
    """One line, to be handed over on a way that others can't read."""
    body = json.dumps({"v": VERSION, **asdict(ticket)}, separators=(",", ":")).encode()
    return kind + base64.urlsafe_b64encode(body).decode().rstrip("=")


def read_ticket(line: str, kind: str = INVITE) -> Ticket:
    """Raises UsageError for anything but such a line; the message never repeats it."""
    what = "invitation" if kind == INVITE else "operator token"
    line = "".join(line.split())  # a terminal may have wrapped it
    if not line.startswith(kind):
        raise UsageError(f"this is no {what}", hint=f"it is one line that begins with {kind}")
    body = line[len(kind) :]
    try:
        read = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        version = read.pop("v")
        ticket = Ticket(**read)
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        raise UsageError(f"the {what} is damaged", hint="copy the whole line") from None
    if version != VERSION:
        raise UsageError(f"the {what} is of another version ({version}) than this renga reads ({VERSION})")
    return ticket
