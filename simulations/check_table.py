"""The report of `renga check`, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from renga.simulations.check import Report
from renga.simulations.units import MISSING, count, duration, printable, size


def render(report: Report) -> RenderableType:
    """A row for each participant, then what the run takes, then notes."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("model", overflow="fold")
    for title in ("rank", "texts", "held out", "tokens", "adapter", "knowledge"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in report.participants:
        rows = [part for part in (one.rows_up_bytes, one.rows_down_bytes) if part is not None]
        table.add_row(
            printable(one.name),
            printable(one.model),
            str(one.rank),
            count(one.texts),
            count(one.held_out),
            count(one.tokens),
            size(one.adapter_bytes) if one.adapter_bytes else MISSING,
            f"≤ {size(sum(rows))}" if rows else MISSING,
        )
    labelled = report.transfer_texts - report.bare_prompts
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_row(
        "transfer set", f"{count(labelled)} labelled texts, {count(report.bare_prompts)} bare prompts"
    )
    if not report.problems:
        facts.add_row("tokens", "learned from per round; adapter and knowledge: bytes per round")
        facts.add_row("memory", f"about {size(report.memory_bytes)}")
        facts.add_row(
            "time", f"about {_roughly(report.seconds)} with nothing else running; may be half or double"
        )
        facts.add_row(
            "bytes per round", f"at most {size(report.bytes_per_round)}, all clients, both directions"
        )
        facts.add_row("disk", f"about {size(report.disk_bytes)}")
    notes = [Text(f"note: {printable(note)}", style="dim") for note in report.notes]
    return Group(table, Text(), facts, *([Text()] if notes else []), *notes)


def _roughly(seconds: float | None) -> str:
    """An estimate, without digits that it doesn't have."""
    return duration(seconds if seconds is None or seconds < 90 else 60 * round(seconds / 60)).replace(
        " 00 s", ""
    )
