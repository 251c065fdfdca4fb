"""A run on the terminal: live while it goes on, one table when it is over.

Progress goes to stderr, the table to stdout. Where stderr is no terminal, progress is a few plain lines.
Nothing runs in the background: the display draws when an event arrives, four times a second at most, so
it neither costs a thread nor holds a lock when the federation forks its workers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from renga.simulations.board import LOG_LINES, WORDS, Board, Row, describe
from renga.simulations.events import Emit, Event
from renga.simulations.metrics import HOST, Metrics, Part
from renga.simulations.units import bits, duration, percent, printable, size
from renga.simulations.verdict import MEASURES, SAME, clients_verdict, host_verdict

SECONDS_BETWEEN_FRAMES = 0.25
COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red")


@contextmanager
def progress(console: Console | None = None) -> Iterator[Emit]:
    """Give the callback that shows a run's events on `console` (stderr unless given)."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    board = Board()
    lock = threading.RLock()
    drawn = 0.0
    with Live(
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        get_renderable=lambda: draw(board, console),
    ) as live:

        def emit(event: Event) -> None:
            nonlocal drawn
            with lock:
                board.note(event)
                now = time.monotonic()
                if now - drawn >= SECONDS_BETWEEN_FRAMES:
                    drawn = now
                    live.refresh()

        yield emit


def lines(write: Callable[[str], object]) -> Emit:
    """Tell a run in plain lines: one for an event worth telling, none for steps and traffic."""

    def emit(event: Event) -> None:
        if line := describe(event):
            write(line)

    return emit


def draw(board: Board, console: Console) -> RenderableType:
    """The whole display, cut to the console's height and width."""
    now = time.monotonic()
    if board.run is None:
        return Text(printable(board.stage), style="dim")
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(printable(board.run.name), style="bold")
    head.append(f"   round {board.round} of {board.run.rounds}" if board.round else "   before round 1")
    head.append(f"   {duration(now - board.started)}", style="dim")
    left = board.seconds_left(now)
    head.append("" if left is None else f"   about {duration(left)} left", style="dim")
    head.append(f"   {printable(board.stage)}" if board.stage else "", style="cyan")
    return Group(Text(), head, Text(), _rows(board, console), Text(), *_log(board))


def _log(board: Board) -> list[Text]:
    styles = ("", "yellow")
    return [
        Text(line, style=styles[warning], no_wrap=True, overflow="ellipsis") for line, warning in board.log
    ]


def _rows(board: Board, console: Console) -> Table:
    wide = console.width >= 100
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", max_width=16 if wide else 12, no_wrap=True, overflow="ellipsis")
    table.add_column("works on", width=12, no_wrap=True, overflow="ellipsis")
    table.add_column("", width=10 if wide else 8)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    if wide:
        table.add_column("", width=10, no_wrap=True)
        table.add_column("tokens/s", justify="right", no_wrap=True)
    table.add_column("sent", justify="right", no_wrap=True)
    table.add_column("received", justify="right", no_wrap=True)
    room = max(2, console.height - LOG_LINES - 7)
    names = list(board.rows)
    if len(names) > room:  # the busiest ones, in their order; the host always
        latest = sorted((n for n in names if n != HOST), key=lambda n: -board.rows[n].seen)[: room - 2]
        names = [n for n in names if n in latest or n == HOST]
    for i, name in enumerate(board.rows):
        if name in names:
            colour = "bold" if name == HOST else COLOURS[i % len(COLOURS)]
            table.add_row(*_cells(name, board.rows[name], colour, wide))
    if hidden := len(board.rows) - len(names):
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return table


def _cells(name: str, row: Row, colour: str, wide: bool) -> list[RenderableType]:
    now = Text("left out", style="yellow") if row.left_out else Text(WORDS.get(row.phase, "waits"))
    bar: RenderableType = ""
    if row.steps and not row.left_out:
        bar = ProgressBar(total=row.steps, completed=row.step, complete_style=colour, finished_style=colour)
    step = f"{row.step}/{row.steps}" if row.steps else ""
    speed = (
        "" if row.speed is None else f"{row.speed:,.0f}" if row.speed < 1e5 else f"{row.speed / 1000:,.0f}k"
    )
    curve: list[RenderableType] = [sparkline(list(row.losses), 10, colour), speed] if wide else []
    loss = bits(row.losses[-1]) if row.losses else ""
    ends = [size(n) if n else "" for n in (row.sent, row.received)]
    return [Text(printable(name), style=colour), now, bar, step, loss, *curve, *ends]


def sparkline(values: list[float], width: int, style: str = "") -> Text:
    """The last values as a row of blocks, each the mean of its share."""
    if len(values) < 2:
        return Text("")
    bars = min(width, len(values))
    edges = [round(i * len(values) / bars) for i in range(bars + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return Text("".join("▁▂▃▄▅▆▇█"[round(7 * (m - low) / span)] for m in means), style=style)


def show_results(metrics: Metrics, console: Console | None = None) -> None:
    """Print the final table, on stdout unless a console is given, at most 100 columns wide."""
    console = console or Console()
    if not console.is_terminal:
        console.width = 100  # a file is as wide as the table; rich would take 80
    console.print(final_table(metrics, min(console.width, 100)))


def final_table(metrics: Metrics, width: int = 100) -> Table:
    """What the federation brought each participant, in `width` (80 or more) columns, and in words."""
    caption = Text(f"{clients_verdict(metrics)} {host_verdict(metrics)}\n", style="not italic")
    caption.append(MEASURES, style="dim")
    table = Table(box=box.SIMPLE_HEAD, width=width, padding=0, pad_edge=False)
    table.title, table.title_justify = Text(printable(metrics.run.get("name") or "federation")), "left"
    table.caption, table.caption_justify = caption, "left"
    narrow = width < 100
    table.add_column("", ratio=1, min_width=8, no_wrap=True, overflow="ellipsis")
    table.add_column("text" if narrow else "held-out\ntext", width=7 if narrow else 13, no_wrap=True)
    for measure in ("bits/\nbyte", "accu-\nracy") if narrow else ("bits/byte", "accuracy"):
        for stage in ("before", "alone", "federated"):
            room = 6 if narrow and stage != "federated" else 9
            room += 1 if stage == "before" else 0  # sets the two measures apart
            table.add_column(f"{measure}\n{stage}", width=room, justify="right", no_wrap=True)
    table.add_column("sent ↑\nreceived ↓", width=11, justify="right", no_wrap=True)
    words = ("own", "others", "all") if narrow else ("own domain", "other domains", "all domains")
    for client in metrics.clients:
        sent, received = (metrics.traffic(client.name, direction) for direction in ("up", "down"))
        own, others = (_results(metrics, client.name, part) for part in ("own", "others"))
        table.add_row(Text(client.name, style="bold"), words[0], *own, f"{size(sent)} ↑")
        table.add_row("", words[1], *others, f"{size(received)} ↓", end_section=True)
    sent, received = (metrics.traffic(HOST, direction) for direction in ("down", "up"))  # seen from the host
    table.add_row(Text(HOST, style="bold"), words[2], *_results(metrics, HOST, "all"), f"{size(sent)} ↑")
    table.add_row(*[""] * 8, f"{size(received)} ↓")
    return table


def _results(metrics: Metrics, who: str, part: Part) -> list[Text]:
    """Bits per byte, then accuracy: before, alone, federated; the last coloured if it differs from alone."""
    before, alone, federated = (
        metrics.measure(who, "before", part),
        metrics.learned_alone(who, part),
        metrics.measure(who, "federated", part),
    )
    style = "bold"
    if alone.bits_per_byte is not None and federated.bits_per_byte is not None:
        change = federated.bits_per_byte / alone.bits_per_byte - 1 if alone.bits_per_byte else 0.0
        style = "bold green" if change < -SAME else "bold red" if change > SAME else "bold"
    stages = (before, alone, federated)
    cells = [Text(bits(m.bits_per_byte)) for m in stages] + [Text(percent(m.accuracy)) for m in stages]
    cells[2].stylize(style)
    return cells
