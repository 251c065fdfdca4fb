"""Tables of a benchmark: on the terminal, and as Markdown in a marked block of a page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from renga.errors import RengaError, UsageError
from renga.simulations.bench_statistics import Estimate
from renga.simulations.runs import write_whole
from renga.simulations.units import MISSING, printable

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Sheet:
    """One table. Columns but the first hold numbers unless their heads stand in `words`."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: frozenset[str] = frozenset()


def render(sheets: Iterable[Sheet]) -> RenderableType:
    """The tables for a terminal."""
    parts: list[RenderableType] = []
    for sheet in sheets:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
        for place, head in enumerate(sheet.heads):
            words = place == 0 or head in sheet.words
            # Where it is narrow words wrap, and numbers stay whole.
            said = [*head.split(), *(() if words else (row[place] for row in sheet.rows))]
            least = max(map(len, said), default=1)
            table.add_column(Text(head), justify="left" if words else "right", min_width=least)
        for row in sheet.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        parts += [Text(sheet.title, style="bold"), table]
        if sheet.note:
            parts.append(Text(f"{sheet.note}\n", style="dim"))
    return Group(*parts)


def markdown(sheets: Iterable[Sheet]) -> str:
    """The tables for a page."""
    parts = []
    for sheet in sheets:
        lines = ["---" if p == 0 or h in sheet.words else "--:" for p, h in enumerate(sheet.heads)]
        rows = [sheet.heads, tuple(lines), *sheet.rows]
        body = "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)
        parts.append(f"**{sheet.title}**\n\n{body}\n" + (f"\n{sheet.note}\n" if sheet.note else ""))
    return "\n".join(parts)


def write_block(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's marks of the block `name`, in the place of what stands there.

    Raises UsageError when the page or a mark is missing.
    """
    before, after = around_block(page, name)
    write_whole(page, f"{before}\n{text.strip()}\n{after}")


def around_block(page: Path, name: str) -> tuple[str, str]:
    """What stands before and after a block, its marks included. Raises UsageError as `write_block`."""
    begin, end = f"<!-- bench {name}: begin -->", f"<!-- bench {name}: end -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{page}: {(error.strerror or 'unreadable').lower()}") from error
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise UsageError(f"{page} has no block for this benchmark", hint=f"mark it with {begin} and {end}")
    return before + begin, end + after


def write_json(path: Path, text: str) -> None:
    """Write a benchmark's result, whole. Raises RengaError when it can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise RengaError(f"can't write {path}: {error.strerror}") from error


def conditions() -> dict[str, Any]:
    """On what was measured, as far as it bears on the numbers."""
    import torch

    return {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def shown(value: Estimate | None, say: Callable[[float | None], str], *, signed: bool = False) -> str:
    """ "1.234 ± 0.012", or the mean alone where there is no interval."""
    if value is None:
        return MISSING
    mean = f"{'+' if signed and value.mean >= 0 else ''}{say(value.mean)}".replace("-", "−")
    return mean if value.high is None else f"{mean} ± {say(value.high - value.mean)}"


def verdict(met: bool | None) -> str:
    """Whether a target is met, in a word."""
    return {True: "met", False: "missed", None: "can't be said"}[met]


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")


def texts(rows: Iterable[Sequence[object]]) -> tuple[tuple[str, ...], ...]:
    """Rows of a sheet from whatever is to be shown."""
    return tuple(tuple(str(cell) for cell in row) for row in rows)
