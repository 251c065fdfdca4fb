"""Logins and handles by where they stand: an ssh config, `whoami`, who was called, the name in brackets behind a name.

A login that looks like a word is one only in such a place; everywhere else `usernames` wants a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import listed
from renga.client.sanitisation.names_inside import is_word
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_LOGIN = r"([A-Za-z][A-Za-z0-9._\-]{2,30}[A-Za-z0-9])(?![A-Za-z0-9_@/(\-])"
_PLACES: tuple[Scanned, ...] = (
    Scanned(rf"(?<![A-Za-z])whoami[ ]?\n{_LOGIN}"),
    Scanned(rf"^[ \t]{{1,8}}User[ ]{_LOGIN}[ \t]*$", re.M),
    Scanned(rf"(?<![A-Za-z])(?:for|of|by) user '{_LOGIN}'@'", re.I),
    Scanned(r"(?<![A-Za-z0-9._%+\-/])([a-z][a-z0-9._\-]{2,30})@(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])"),
    Scanned(rf"(?<![A-Za-z])my (?:handle|username|user name|login|gamertag|nick(?:name)?|ign)(?: (?:on|at|in|for) [^\n,.;:]{{2,24}}?)? (?:is|was) {_LOGIN}", re.I),
    Scanned(rf"(?<![A-Za-z])the (?:fake|wrong|other|old|real) one is {_LOGIN}", re.I),
)  # fmt: skip
_MINE = Scanned(rf"(?<![A-Za-z])(?:and |, |but )mine (?:is|was) {_LOGIN}", re.I)
_DONE_BY = Scanned(
    rf"(?<![A-Za-z])(?:ack(?:ed|nowledged)?|called|run|started|triggered|deployed|reported|approved|merged|owned|assigned) (?:by|to) {_LOGIN}"
)
_IN_BRACKETS = Scanned(
    rf"(?<![A-Za-z])(?:reporter|requester|requested by|assignee|author|user|owner|opened by|contact):? [^\W\d_][\w'’.\-]{{1,24}}(?: [^\W\d_][\w'’.\-]{{1,24}}){{0,3}} \({_LOGIN}\)",
    re.I,
)
_ACCUSED = Scanned(
    rf"(?<![A-Za-z])(?:user|player|member|poster) {_LOGIN} (?:kept|keeps|posted|posts|said|says|spams?|spammed|wrote|sent|is|was|has|blocked|banned)(?![a-z])",
    re.I,
)
_MARKED = Pattern(r".*[0-9_].*|.*[a-z]\.[a-z].*|.*-.*[0-9].*")
"""What no word of a language has."""


def handles(text: str) -> Iterator[Found]:
    """Every login that one reading tells by its place."""
    for pattern in _PLACES:
        for match in matches(pattern, text):
            if _is_somebodys(match[1]):
                yield Found(*match.span(1), Kind.USERNAME, 0.86)
    for pattern in (_MINE, _DONE_BY, _IN_BRACKETS, _ACCUSED):
        for match in matches(pattern, text):
            unknown = pattern is _IN_BRACKETS and match[1].islower() and not is_word(match[1])
            if _is_somebodys(match[1]) and (unknown or _MARKED.fullmatch(match[1])):
                yield Found(*match.span(1), Kind.USERNAME, 0.84)


def _is_somebodys(login: str) -> bool:
    low = login.lower()
    return not is_word(low) and low not in listed("users of no one")
