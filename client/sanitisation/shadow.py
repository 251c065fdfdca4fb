"""A second reading of a text, in which disguises are gone, with a way back to the original offsets.

Full-width and half-width forms, zero-width characters, combining marks, look-alike letters of other scripts,
digits of other scripts and typographic hyphens are folded (NFKC and a few tables); percent, HTML and backslash
escapes are decoded in a further reading. Detectors read the shadow; spans always name the original, which is
never changed. All passes are linear.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Shadow:
    """`text[i]` was read from `original[starts[i]:ends[i]]`; without maps the two are the same.
    `digits` is `text` with kanji digits in long numbers as ASCII, place by place."""

    text: str
    digits: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original span of a non-empty span of the shadow."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


_DASHES = "‐‑‒–—―−⁃﹘﹣－ｰ"
_QUOTES = {"’": "'", "‘": "'", "‛": "'", "′": "'", "“": '"', "”": '"', "„": '"', "〝": '"', "〟": '"'}
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0")
_LOOKALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТХУаеѕіјорсухһԁԛԝѵΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορυχгпкмтвн",
    "ABESIJKMHOPCTXYaesijopcyxhdqwvABEZHIKMNOPTYXaivopuxrnkmtbh",
)
_LOOKALIKE = re.compile(r"[Ͱ-ϿЀ-ԯ]")
_MIXED = re.compile(r"[0-9A-Za-z@._%+\-Ͱ-ϿЀ-ԯ]{2,}")
_KANJI_NUMBER = re.compile(r"[〇零一二三四五六七八九](?:[\-ー―・ 0-9()（）]?[〇零一二三四五六七八九]){3,}")
_KANJI_DIGITS = str.maketrans("〇零一二三四五六七八九", "00123456789")
_LONG_MARK = re.compile(r"(?<=[0-9〇零一二三四五六七八九])[ー―](?=[0-9〇零一二三四五六七八九])")


@lru_cache(maxsize=65536)
def _folded(char: str) -> str:
    """What one character reads as: nothing, itself, or its plain form."""
    if char in _DASHES:
        return "-"
    if char in _QUOTES:
        return _QUOTES[char]
    category = unicodedata.category(char)
    if category == "Cf" or char in _INVISIBLE or "\ufe00" <= char <= "\ufe0f":
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Cs":
        return char
    folded = "崎" if char == "﨑" else unicodedata.normalize("NFKC", char)
    return "-" if folded in _DASHES else folded


@lru_cache(maxsize=2)
def shadow(text: str) -> Shadow:
    """The folded reading of `text`."""
    if text.isascii():
        return Shadow(text, text)
    disguised = [c for c in set(text) if c >= "\x80" and (_folded(c) != c or unicodedata.combining(c))]
    if not disguised:
        return _shadow(text, None, None)
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in re.finditer(f"[{re.escape(''.join(disguised))}]", text):
        at = match.start()
        chars += text[done:at]
        starts += range(done, at)
        ends += range(done + 1, at + 1)
        done = at + 1
        folded = _folded(text[at])
        if not folded:
            continue
        if chars and ends[-1] == at and unicodedata.combining(folded[0]):
            joined = unicodedata.normalize("NFC", chars[-1] + folded)
            if len(joined) == 1 or chars[-1].isascii():
                chars[-1] = joined[0]
                ends[-1] = at + 1
                continue
        for piece in folded:
            chars.append(piece)
            starts.append(at)
            ends.append(at + 1)
    chars += text[done:]
    starts += range(done, len(text))
    ends += range(done + 1, len(text) + 1)
    return _shadow("".join(chars), starts, ends)


def _shadow(text: str, starts: Sequence[int] | None, ends: Sequence[int] | None) -> Shadow:
    if _LOOKALIKE.search(text):
        foreign = set(_LOOKALIKE.findall(text))
        all_alike = all(ord(char) in _LOOKALIKES for char in foreign)
        text = _MIXED.sub(
            lambda m: (
                m[0].translate(_LOOKALIKES)
                if not m[0].isascii() and (all_alike or re.search("[0-9A-Za-z@]", m[0]))
                else m[0]
            ),
            text,
        )
    digits = _LONG_MARK.sub("-", text)
    digits = _KANJI_NUMBER.sub(lambda m: m[0].translate(_KANJI_DIGITS), digits)
    return Shadow(text, digits, starts, ends)


_ESCAPES = re.compile(
    r"(?:%(?:25)*[0-9A-Fa-f]{2})+|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[a-zA-Z]{2,8});"
    r"|\\u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})?|\\x[0-9A-Fa-f]{2}|\\[nrt\"/]"
)
_BACKSLASH = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "/": "/"}


def _unescaped(escape: str) -> str | None:
    """What one escape (or one run of percent escapes) stands for; None if for nothing readable."""
    if escape[0] == "%":  # `%2540` is an @ that was escaped twice
        try:
            return bytes.fromhex(re.sub("%(?:25)*([0-9A-Fa-f]{2})", r"\1", escape)).decode()
        except UnicodeDecodeError:
            return None
    if escape[0] == "&":
        plain = html.unescape(escape)
        return plain if plain != escape else None
    if escape[1] in "ux":
        units = [int(part, 16) for part in re.split(r"\\[ux]", escape)[1:]]
        try:
            return b"".join(u.to_bytes(2, "big") for u in units).decode("utf-16-be")
        except UnicodeDecodeError:
            return "".join(map(chr, units))
    return _BACKSLASH[escape[1]]


_AROUND = 300
"""So many characters around an escape are read again; what is farther has been read."""


def decoded(view: Shadow) -> Shadow | None:
    """The reading of `view` with its escapes decoded, or None where there are none. Of a long text only the
    surroundings of its escapes, each on lines of its own."""
    escapes = [(match, plain) for match in _ESCAPES.finditer(view.text) if (plain := _unescaped(match[0]))]
    if not escapes:
        return None
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done, stop = _surroundings(view.text, *escapes[0][0].span())
    for match, plain in escapes:
        first, last = _surroundings(view.text, *match.span())
        if first > stop:
            _copy(view, done, stop, chars, starts, ends)
            chars += "\n\n"
            starts += [ends[-1] - 1] * 2
            ends += [ends[-1]] * 2
            done = first
        stop = last
        _copy(view, done, match.start(), chars, starts, ends)
        start, end = view.span(*match.span())
        per_char = len(match[0]) // 3 == len(plain) and match[0][0] == "%"
        for at, char in enumerate(plain):
            for piece in _folded(char) if char >= "\x80" else char:
                chars.append(piece)
                starts.append(start + 3 * at if per_char and end - start == len(match[0]) else start)
                ends.append(starts[-1] + 3 if per_char and end - start == len(match[0]) else end)
        done = match.end()
    _copy(view, done, stop, chars, starts, ends)
    return _shadow("".join(chars), starts, ends)


def _surroundings(text: str, start: int, end: int) -> tuple[int, int]:
    """The lines around a span, or as much of them as is near."""
    first, last = max(0, start - _AROUND), min(len(text), end + _AROUND)
    near = max(0, first - _AROUND)
    first = text.rfind("\n", near, first) + 1 or text.rfind(" ", near, first) + 1 or (first if near else 0)
    cut = text.find("\n", last, last + _AROUND)
    last = cut if cut >= 0 else max(last, text.find(" ", last, last + _AROUND))
    return first, len(text) if len(text) - last < _AROUND else last


def _copy(view: Shadow, start: int, end: int, chars: list[str], starts: list[int], ends: list[int]) -> None:
    chars += view.text[start:end]
    starts += range(start, end) if view.starts is None else view.starts[start:end]
    ends += range(start + 1, end + 1) if view.ends is None else view.ends[start:end]


_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/=_\-])(?:[A-Za-z0-9+/]{16,}|[A-Za-z0-9_\-]{16,})={0,2}(?![A-Za-z0-9+/=])"
)
_LONGEST_DECODED = 20_000


_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?((?:[0-9a-fA-F]{2}){8,4000})(?![0-9A-Za-z])")


def hex_runs(view: Shadow) -> Iterator[tuple[int, int, str]]:
    """Spans of the shadow that are hexadecimal bytes of readable text, with that text."""
    for match in _HEX.finditer(view.text):
        raw = bytes.fromhex(match[1])
        if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in raw) and not match[1].isdigit():
            yield match.start(), match.end(), raw.decode()


def base64_runs(view: Shadow) -> Iterator[tuple[int, int, str]]:
    """Spans of the shadow that are base64 of readable text, with that text."""
    for match in _BASE64.finditer(view.text):
        run = match[0].rstrip("=")
        if len(run) % 4 == 1 or len(run) > _LONGEST_DECODED or (run.isalpha() and run.islower()):
            continue
        try:
            raw = base64.b64decode(
                run + "=" * (-len(run) % 4), altchars=b"-_" if set("-_") & set(run) else None
            )
            plain = raw.decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            continue
        if sum(c.isprintable() or c in "\r\n\t" for c in plain) == len(plain):
            yield match.start(), match.end(), plain
