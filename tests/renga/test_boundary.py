"""Every failure is a line or two and an exit status."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from renga.boundary import enter, explain
from renga.errors import RefusedPayload, RengaError, UsageError


def raising(error: BaseException) -> Callable[[list[str]], object]:
    def command(arguments: list[str]) -> object:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        (RengaError("it broke", hint="mend it"), "it broke", 1),
        (UsageError("bad key"), "bad key", 2),
        (RefusedPayload("not an adapter"), "not an adapter", 1),
        (click.UsageError("Missing argument 'CONFIG'."), "missing argument 'CONFIG'", 2),
        (click.Abort(), "interrupted", 130),
        (KeyboardInterrupt(), "interrupted", 130),
        (MemoryError(), "not enough memory", 1),
        (
            ModuleNotFoundError("No module named 'peft'", name="peft"),
            "the Python package 'peft' is missing",
            1,
        ),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "no space left on runs/x", 1),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk written to", 1),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left on the disk", 1),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "runs: permission denied", 1),
        (KeyError("x"), "unexpected KeyError: 'x'", 1),
        (ValueError(), "unexpected ValueError", 1),
    ],
)
def test_errors_are_explained(
    error: BaseException, message: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter([], raising(error)) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"renga: {message}")
    assert err.count("\n") <= 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "said", "spins"),
    [
        ("simulate", {}, "2000"),
        ("join", {}, "1000"),
        ("simulate", {"GOMP_SPINCOUNT": "5"}, "5"),
        ("simulate", {"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_idle_threads_spin_briefly_unless_somebody_knows_better(
    command: str, said: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that what `enter` sets is undone
        monkeypatch.delenv(name)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert enter([command], lambda arguments: None) == 0
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[list[str]] = []

    def command(arguments: list[str]) -> object:
        seen.append(arguments)
        raise RengaError("it broke", hint="mend it")

    assert enter(["a", "--debug", "b"], command) == 1
    assert enter(["a", "--", "--debug"], command) == 1
    assert seen == [["a", "b"], ["a", "--", "--debug"]]
    err = capsys.readouterr().err
    assert err.count("Traceback") == 1
    assert err.endswith("renga: it broke\nmend it\n")


def test_a_message_of_many_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    enter([], raising(RengaError("first\nsecond", hint="do\nthis")))
    assert capsys.readouterr().err == "renga: first second\ndo this\n"


def test_status_of_a_command_is_the_exit_status() -> None:
    assert enter([], lambda arguments: None) == 0
    assert enter([], lambda arguments: 2) == 2
    assert enter([], raising(SystemExit(3))) == 3


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom renga.boundary import enter\n"
        "def command(arguments):\n    for n in range(100_000): print(n)\n"
        "sys.exit(enter([], command))"
    )
    script = tmp_path / "long.py"
    script.write_text(code)
    status = os.system(f"{sys.executable} {script} 2>{tmp_path / 'err'} | head -1 >/dev/null")
    assert status == 0
    assert (tmp_path / "err").read_text() == ""


def test_full_disk_for_real() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space") as raised, full.open("w") as file:
        file.write("x" * 100_000)
    assert explain(raised.value)[0].startswith("no space left")


def test_what_libraries_will_change_one_day_is_told_to_nobody_but_who_looks_for_it() -> None:
    def command(arguments: list[str]) -> object:
        warnings.warn("use another argument", FutureWarning, stacklevel=1)
        return 0

    for options, told in (([], 0), (["--debug"], 1)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert enter(options, command) == 0
        assert len(caught) == told
