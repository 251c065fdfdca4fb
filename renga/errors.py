"""What can go wrong, and how it is told.

* RengaError            exit 1: the operation failed
  - UsageError          exit 2: the command, config or data was written wrongly
  - RefusedPayload      exit 1: bytes from another process that are not what they claim to be

Every error is one line on what is wrong and where, and one line (`hint`) on what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RengaError(Exception):
    """Something failed that a person can act on."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """What is wrong and what to do, where there is one line for both."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(RengaError):
    """The command line, a config or a data file is not what it should be."""

    exit_status = 2


class RefusedPayload(RengaError):
    """A payload from elsewhere failed its checks; nothing of it was used."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known choice, or all of them."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(choices)}"
