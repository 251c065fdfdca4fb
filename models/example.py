"""One line of data: a prompt, perhaps its response, perhaps the choices it was picked from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A text to learn from or to be judged on.

    `response` is None for a bare prompt, which somebody has still to answer.
    With `choices`, the response is one of them.
    """

    prompt: str
    response: str | None
    choices: tuple[str, ...] = ()
    domain: str = ""
