"""HTML and SVG put together so that nothing in it goes unescaped and every tag is closed."""

from __future__ import annotations

import re
from html import escape
from typing import TypeAlias

VOID = {"br", "hr", "meta", "link"}


class Html(str):
    """Markup that is done: it is not escaped again. Only this module's functions make it."""


Child: TypeAlias = "str | Html | None"


def element(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """`<name attributes>children</name>`. Plain text is escaped, None is left out.

    An attribute's `_` is written `-`, a last one dropped (`class_`); numbers get two decimals at most.
    """
    given = [
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    opening = f"<{name}{''.join(given)}>"
    return Html(opening if name in VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Children side by side."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children if c is not None))


def prose(words: str) -> str:
    """A sentence of ours with typographic apostrophes, and arrows that stay beside what they lead from."""
    return re.sub(r"(?<=[a-z])'", "\N{RIGHT SINGLE QUOTATION MARK}", words).replace(
        " →", "\N{NO-BREAK SPACE}→"
    )


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
