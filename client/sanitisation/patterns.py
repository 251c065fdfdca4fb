"""Regular expressions that are compiled when they are first needed.

Half a thousand of them take a second to compile, and one text needs a tenth of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any


class Pattern:
    """`re.compile(source, flags)`, later."""

    search: Callable[..., re.Match[str] | None]
    match: Callable[..., re.Match[str] | None]
    fullmatch: Callable[..., re.Match[str] | None]
    finditer: Callable[..., Iterator[re.Match[str]]]
    findall: Callable[..., list[Any]]
    split: Callable[..., list[str]]
    sub: Callable[..., str]

    def __init__(self, source: str, flags: int = 0) -> None:
        self.source = source
        self.flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """As `re` has it."""
        return re.compile(self.source, self.flags)

    def __getattr__(self, name: str) -> Any:
        """A method of the compiled pattern, which from then on is this object's own."""
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self.compiled, name)
        self.__dict__[name] = method
        return method

    def __repr__(self) -> str:
        return f"Pattern({self.source!r}, {self.flags})"
