"""Files as texts that can be cited: PDF, HTML, Markdown and plain text in, text and its places out."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from renga.errors import RengaError, UsageError, did_you_mean

MOST_BYTES = 64_000_000  # of one file
MOST_CHARACTERS = 20_000_000  # of its text: a small file may unfold into a very large one

TEXT = frozenset({".txt", ".md", ".markdown", ".rst", ".log"})
HTML = frozenset({".html", ".htm", ".xhtml"})
KINDS = TEXT | HTML | {".pdf"}


@dataclass(frozen=True)
class Document:
    """A text with a name. pages: where each page begins, for texts that have pages.

    A place in the text of a PDF or HTML file counts the characters of what is read from it; of other files,
    those of the file.
    """

    source: str
    text: str
    pages: tuple[int, ...] = ()

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) of what it says."""
        facts = f"{self.text}\0{self.pages}"
        return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()

    def page(self, place: int) -> int:
        """The page, from 1, on which `place` lies; 0 where there are none."""
        return bisect_right(self.pages, place)


def read_document(path: Path, *, name: str = "") -> Document:
    """The text of a file. Raises UsageError for one that is missing, too large, or of no kind known here, and
    RengaError for one that can't be read as what it claims to be."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UsageError(
            f"{path}: can't read {kind or 'a file without a suffix'}", hint=did_you_mean(kind, KINDS)
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: larger than {MOST_BYTES // 1_000_000} MB", hint="split it")
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or 'unreadable').lower()}") from None
    source = name or path.name
    if kind == ".pdf":
        return _pdf(path, source)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8 text", hint="save the file as UTF-8") from None
    return Document(source, visible(text) if kind in HTML else text)


def read_documents(paths: list[Path]) -> list[Document]:
    """All files of `paths`; of a folder, those of known kinds below it, by name. Sources are named by their
    path below the folder given."""
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in KINDS)
            if not inside:
                raise UsageError(f"{path}: no documents in it", hint=f"known: {', '.join(sorted(KINDS))}")
            found += [read_document(p, name=p.relative_to(path).as_posix()) for p in inside]
        else:
            found.append(read_document(path))
    return found


def visible(html: str) -> str:
    """The text that a browser would show, a line for each block."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    HIDDEN = frozenset({"script", "style", "template", "noscript", "title", "svg", "iframe"})
    INLINE = re.compile(
        "a|abbr|b|bdi|bdo|cite|code|data|dfn|em|i|kbd|mark|q|s|samp|small|span|strong|sub|sup|time|u|var|wbr|"
        "font|label"
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.HIDDEN:
            self._hidden.append(tag)
        elif tag in ("td", "th"):
            self.parts.append(" \t")
        elif not self.INLINE.fullmatch(tag):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif not self.INLINE.fullmatch(tag) and tag not in ("td", "th"):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            # A line's end in the source is a space on the page.
            self.parts.append(data.replace("\n", " ").replace("\r", " "))


def _pdf(path: Path, source: str) -> Document:
    try:
        from pypdf import PdfReader
    except ImportError:
        raise RengaError(f"{path}: reading PDF needs pypdf", hint="pip install 'renga[retrieval]'") from None
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise RengaError(f"{path}: locked by a password", hint="save it without one")
        pages = list(_pages(page.extract_text() for page in reader.pages))
    except RengaError:
        raise
    except Exception as error:
        raise RengaError(f"{path}: no PDF that can be read ({type(error).__name__})") from error
    if not any(page.strip() for page in pages):
        raise RengaError(f"{path}: no text in it", hint="a scan needs character recognition first")
    starts, at = [], 0
    for page in pages:
        starts.append(at)
        at += len(page) + 1
    return Document(source, "\n".join(pages), tuple(starts))


def _pages(texts: Iterator[str]) -> Iterator[str]:
    total = 0
    for text in texts:
        total += len(text)
        if total > MOST_CHARACTERS:
            raise RengaError(f"more than {MOST_CHARACTERS:,} characters of text in one file")
        yield text.encode("utf-8", "replace").decode()
