"""`renga sanitise` and `renga restore`: streams of text or JSONL through the sanitiser."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import Entity
from renga.client.sanitisation.restoring import Restorer
from renga.client.sanitisation.sanitiser import Sanitised, Sanitiser
from renga.client.sanitisation.sinks import Sinks
from renga.errors import RengaError, UsageError

BLOCK = (
    1 << 18
)  # characters of plain text that are looked at together, so that a key of many lines is seen whole
LONGEST_LINE = 16 << 20  # bytes
CHUNK = 1 << 16
MARK = "\ufeff"  # before the first character of what some editors write

Write = Callable[[str], None]


def sanitise(
    source: BinaryIO, write: Write, desk: Desk, conversation: str | None, *, as_json: bool, reveal: bool
) -> int:
    """Sanitise a stream; 1 if a record of it could not be, else 0. Raises UsageError, RengaError."""
    lines = _lines(source)
    first = next(lines, "")
    if _record(first.removeprefix(MARK)) is not None:
        return _records(_again(first.removeprefix(MARK), lines), write, desk, conversation, reveal)
    if reveal and not as_json:
        raise UsageError("the original values stand in lines of JSON", hint="--json --reveal")
    lines = _again(first, lines)
    sanitiser, sinks = desk.sanitiser(conversation), Sinks()
    for block in _blocks(lines):
        found = sanitiser.find(block)
        if not as_json:
            write(sanitiser.replace(block, found, sinks).text)
            continue
        at = 0
        for line in re.findall(r"[^\n]*\n|[^\n]+", block):
            own = line.removesuffix("\n")
            sanitised = sanitiser.replace(own, _part(found, at, own))
            write(_said(_told(sanitised, own, reveal)))
            at += len(line)
    return 0


def restore(
    source: BinaryIO, write: Write, opened: Callable[[str | None], Conversation], allow: tuple[str, ...]
) -> Counter[str]:
    """Restore a stream of text as it comes, or JSONL record by record; what was not restored, by why.

    opened: the conversation of a record's "conv", of None for all else; who fills the other end of a pipe may
    begin it only now.
    """
    reader: Any = source if hasattr(source, "peek") else io.BufferedReader(source)
    left = Counter[str]()

    def note(restorer: Restorer) -> None:
        for (_, why), count in restorer.left.items():
            left[why] += count

    beginning = b""
    if reader.peek(1).lstrip(MARK.encode() + b" \t\r\n")[:1] == b"{":
        beginning = reader.readline(LONGEST_LINE)
        if _record(beginning.decode("utf-8", "replace").removeprefix(MARK)) is not None:
            lines = _again(beginning, iter(lambda: reader.readline(LONGEST_LINE), b""))
            for record in _restorable(lines):
                restorer = Restorer(opened(_conv(record)), allow)
                record["text"] = restorer.feed(record["text"]) + restorer.end()
                note(restorer)
                write(_said(record))
            return left
    restorer = Restorer(opened(None), allow)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in _again(beginning, iter(lambda: reader.read1(CHUNK), b"")):
        write(restorer.feed(decoder.decode(chunk)))
    write(restorer.feed(decoder.decode(b"", True)) + restorer.end())
    note(restorer)
    return left


def _restorable(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        record = _record(line.decode("utf-8", "replace").removeprefix(MARK))
        if record is not None:
            yield record
        elif line.strip():
            raise UsageError(f'line {number} is no JSON object with a "text"')


def _records(lines: Iterator[str], write: Write, desk: Desk, conversation: str | None, reveal: bool) -> int:
    """JSONL: a record that can't be sanitised is told, without its text, and the stream goes on."""
    status, open_ones = 0, dict[str, Sanitiser]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _record(line)
        if record is None:
            raise UsageError(f'line {number} is no JSON object with a "text"', hint='{"id": …, "text": …}')
        named = _conv(record)
        head: dict[str, Any] = {name: record[name] for name in ("id", "conv") if name in record}
        which = conversation if named is None else f"{conversation}/{named}" if conversation else named
        try:
            sanitiser = open_ones.get(which or "")
            if sanitiser is None:
                sanitiser = desk.sanitiser(which)
                if which is not None:
                    open_ones[which] = sanitiser
            write(_said({**head, **_told(sanitiser.sanitise(record["text"]), record["text"], reveal)}))
        except RengaError as error:
            status = 1
            write(_said({**head, "error": error.message}))
    return status


def _conv(record: dict[str, Any]) -> str | None:
    """The name that a record gives its conversation."""
    named = record.get("conv")
    return None if named is None else str(named)


def _told(sanitised: Sanitised, own: str, reveal: bool) -> dict[str, Any]:
    entities = []
    for hidden in sanitised.entities:
        one: dict[str, Any] = {
            "start": hidden.start, "end": hidden.end, "type": hidden.kind, "surrogate": hidden.surrogate,
        }  # fmt: skip
        if reveal:
            one["original"] = own[hidden.start : hidden.end]
        entities.append(one)
    return {"text": sanitised.text, "entities": entities}


def _part(entities: list[Entity], at: int, line: str) -> list[Entity]:
    """What of the entities lies in a line that begins at `at`, with offsets into the line."""
    parts = []
    for entity in entities:
        start, end = max(entity.start, at), min(entity.end, at + len(line))
        if start < end:
            whole = (start, end) == (entity.start, entity.end)
            value = entity.value if whole else line[start - at : end - at]
            subject = entity.subject if whole else None
            parts.append(replace(entity, start=start - at, end=end - at, value=value, subject=subject))
    return parts


def _said(value: dict[str, Any]) -> str:
    """One line of JSON, in UTF-8 wherever that can be."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half of a character, as JSON's escapes can name it
        line = json.dumps(value)
    return line + "\n"


def _record(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("text"), str) else None


def _lines(source: BinaryIO) -> Iterator[str]:
    """Raises UsageError for what is no text, by the number of its line and never by what it says."""
    number = 0
    while line := source.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise UsageError(
                f"line {number} has more than {LONGEST_LINE >> 20} MiB", hint="break it into several lines"
            )
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"line {number}, byte {error.start + 1}"
            raise UsageError(
                f"{where}: this is no UTF-8 text", hint="convert it first: iconv -t utf-8"
            ) from None


def _blocks(lines: Iterator[str]) -> Iterator[str]:
    """Pieces of a text that are cut at empty lines, if there are any, and never within a key of many
    lines."""
    block, size, in_key = list[str](), 0, False
    for line in lines:
        block.append(line)
        size += len(line)
        if "-----BEGIN " in line or "-----END " in line:
            in_key = "-----BEGIN " in line and "-----END " not in line
        most = 8 * BLOCK if in_key else BLOCK if not line.strip() else 2 * BLOCK
        if size >= most:
            yield "".join(block)
            block, size, in_key = [], 0, False
    if block:
        yield "".join(block)


def _again(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first:
        yield first
    yield from rest
