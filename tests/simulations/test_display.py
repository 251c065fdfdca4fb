"""What a terminal shows, and what a log file gets instead."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from renga.simulations.board import Board
from renga.simulations.display import draw, final_table, progress, show_results, sparkline
from renga.simulations.events import (
    Emit,
    Event,
    Gate,
    LeftOut,
    Merged,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunStarted,
    Scored,
    Stage,
    Step,
    Traffic,
)
from renga.simulations.metrics import metrics_of

CLIENTS = ("clinic", "foundry", "[red]harbour[/red]")
STEPS = 200


def script(rounds: int = 2) -> Iterator[Event]:
    models = dict.fromkeys(CLIENTS, "SmolLM2-135M-Instruct")
    yield RunStarted("quickstart", rounds, CLIENTS, "gemma-3-270m", models, "runs/quickstart", 400.0)
    yield Stage("loading gemma-3-270m")
    for turn in range(1, rounds + 1):
        yield RoundStarted(turn)
        for who in CLIENTS:
            for i in range(1, STEPS + 1):
                yield Step(who, "private", i, STEPS, 2.0 / i, 512 * i)
            yield Traffic(who, "up", "adapter", 940_000)
            yield Traffic(who, "down", "texts", 18_000)
        yield LeftOut(turn, "foundry", "no reply\x1b[2J within 90 s")
        yield Merged(turn, "a3f19c02", CLIENTS, 0.031, 8)
        yield Gate(turn, "host", turn == 1, 1.8, 1.7, "")
        yield Scored("host", "federated", {"clinic": {"bits_per_byte": 1.4, "accuracy": None}})
        yield RoundFinished(turn, 188.0, 2_820_000, 54_000)
    yield RunFinished("runs/quickstart", 400.0)


def play(emit: Emit, rounds: int = 2) -> None:
    for event in script(rounds):
        emit(event)


def test_without_a_terminal_a_run_is_a_few_plain_lines() -> None:
    out = io.StringIO()
    with progress(Console(file=out, force_terminal=False, width=60)) as emit:
        play(emit)
    text = out.getvalue()
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 30  # of over 1,200 events
    for said in (
        "loading gemma-3-270m",
        "foundry was left out: no reply",
        "[red]harbour[/red]",
        "1.800 → 1.700",
    ):
        assert said in text
    assert text.splitlines()[-1] == "done in 6 min 40 s: runs/quickstart"


def test_on_a_terminal_it_draws_seldom_and_costs_little() -> None:
    out = io.StringIO()
    began, spent = time.perf_counter(), time.process_time()
    with progress(Console(file=out, force_terminal=True, width=100, height=30)) as emit:
        play(emit, rounds=8)  # 5,000 events
    seconds = time.perf_counter() - began
    assert time.process_time() - spent < 2.0
    assert out.getvalue().count("quickstart   round") <= 4 * seconds + 3


def test_the_display_shows_everybody_and_fits() -> None:
    board = Board()
    for event in list(script())[:-2]:
        board.note(event)
    for width in (80, 100, 140):
        out = io.StringIO()
        console = Console(file=out, width=width, height=30, force_terminal=True, color_system=None)
        console.print(draw(board, console))
        text = out.getvalue()
        assert max(map(len, text.splitlines())) <= width
        assert len(text.splitlines()) < 30
        for said in ("round 2 of 2", "clinic", "host", "left out", "200/200", "1.9 MB", "about"):
            assert said in text


def test_with_many_clients_the_display_keeps_to_the_terminal() -> None:
    board = Board()
    names = tuple(f"client-{i}" for i in range(100))
    board.note(RunStarted("many", 1, names, "host-model", {}, "runs/many"))
    board.note(RoundStarted(1))
    board.note(Step("client-77", "private", 1, 9, 1.0, 10))
    out = io.StringIO()
    console = Console(file=out, width=100, height=24, force_terminal=True, color_system=None)
    console.print(draw(board, console))
    text = out.getvalue()
    assert len(text.splitlines()) <= 24
    assert "client-77" in text
    assert "host" in text
    assert "more" in text


def test_time_left_follows_the_rounds() -> None:
    board = Board()
    board.note(RunStarted("x", 3, ("a",), "h", {}, "runs/x", 100.0), now=0.0)
    assert board.seconds_left(40.0) == 60.0  # nothing timed yet: what the run expected
    board.note(RoundStarted(1), now=40.0)
    board.note(RoundFinished(1, 50.0, 0, 0), now=90.0)
    assert board.seconds_left(90.0) == 100.0
    board.note(RoundStarted(2), now=90.0)
    assert board.seconds_left(110.0) == 80.0
    assert board.seconds_left(400.0) == 50.0  # a slow round: the next one is still to come
    board.note(RunFinished("runs/x", 1.0))
    assert board.seconds_left(400.0) is None


def test_what_clients_send_the_host_receives() -> None:
    board = Board()
    for event in script(1):
        board.note(event)
    clients = [row for name, row in board.rows.items() if name != "host"]
    assert board.rows["host"].received == sum(row.sent for row in clients) == 3 * 940_000
    assert board.rows["host"].sent == sum(row.received for row in clients) == 3 * 18_000


def test_sparkline_never_exceeds_its_width() -> None:
    assert [len(sparkline([float(v) for v in range(n)], 10)) for n in (0, 1, 2, 9, 10, 11, 64)] == [
        0,
        0,
        2,
        9,
    ] + [10] * 3
    assert sparkline([3.0, 1.0], 10).plain == "█▁"
    assert sparkline([1.0, 1.0], 10).plain == "▁▁"


def lines_of(records: list[dict[str, Any]], width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=120).print(final_table(metrics_of(records), width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_final_table_fits_and_tells(records: list[dict[str, Any]]) -> None:
    for width in (80, 100):
        lines = lines_of(records, width)
        assert max(map(len, lines)) <= width
        assert not any("…" in line for line in lines)
        text = " ".join(" ".join(lines).split())
        for said in ("clinic", "foundry", "harbour", "host", "federated", "1.9 MB ↑", "of that distance"):
            assert said in text


def test_the_final_table_stands_names_of_any_kind(records: list[dict[str, Any]]) -> None:
    records[0]["clients"][0]["name"] = "[bold]" + "漢" * 60 + "\x1b[31m"
    lines = lines_of(records, 100)
    assert "[bold]" in "".join(lines)
    assert "\x1b" not in "".join(lines)
    assert lines_of([], 100)


def test_results_are_whole_when_piped(records: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    show_results(metrics_of(records), Console(file=out))  # a pipe: rich would take 80 columns
    assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) in range(90, 101)
