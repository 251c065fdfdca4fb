"""The edge of the process: whatever happened inside becomes an exit status and a line or two on stderr.

0 it worked, 1 it failed, 2 it was asked wrongly, 130 it was interrupted. A traceback is for `--debug`.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable

import click

from renga.errors import RengaError

DEBUG = "--debug"
INTERRUPTED = 130

# Nothing Renga uses may call home, install anything at run time, or warn about it.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

# How often torch's idle threads look for more work before they sleep (docs/decisions.md, "Threads spin, but
# briefly"): a daemon has neighbours on its machine more often than a command does.
SPINS = {"serve": "1000", "join": "1000"}
SPINS_ELSE = "2000"


def enter(arguments: list[str], command: Callable[[list[str]], object]) -> int:
    """Run `command` with the arguments less `--debug`; the exit status. Nothing is raised."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS.get(next(iter(arguments), ""), SPINS_ELSE))
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = DEBUG in options
    if not debug:  # what a library will do differently one day is no concern of who runs a command today
        warnings.simplefilter("ignore", FutureWarning)
    rest = [argument for argument in options if argument != DEBUG] + arguments[len(options) :]
    try:
        status = command(rest)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the process boundary: the only place that catches all
        return _tell(error, debug)
    if status == INTERRUPTED:  # typer catches it inside a command
        return _tell(KeyboardInterrupt(), debug)
    return status if isinstance(status, int) else 0


def _tell(error: BaseException, debug: bool) -> int:
    if _is_broken_pipe(error):  # `renga … | head`: the reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if debug:
        traceback.print_exception(error)
    message, hint, status = explain(error)
    for line in (f"renga: {message}", hint):
        if line:
            print(" ".join(line.split()), file=sys.stderr)
    return status


def explain(error: BaseException) -> tuple[str, str, int]:
    """What to say of an error, what to do about it, and the exit status."""
    match error:
        case RengaError():
            return error.message, error.hint, error.exit_status
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "renga"
            return _plain(error), f"try `{command} --help`", 2
        case click.ClickException():
            return _plain(error), "", error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return "interrupted", "", INTERRUPTED
        case SystemExit():
            return "stopped", "", error.code if isinstance(error.code, int) else 1
        case MemoryError():
            return "not enough memory", "`renga check CONFIG` estimates what a run needs", 1
        case ModuleNotFoundError(name=str(name)):
            return f"the Python package {name!r} is missing", "install renga again, with its dependencies", 1
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            place = f" on {error.filename}" if error.filename else " on the disk written to"
            return f"no space left{place}", "free some space and run the same command again", 1
        case OSError(filename=str() | bytes() as name, strerror=str(reason)):
            return f"{os.fsdecode(name)}: {reason[:1].lower()}{reason[1:]}", "", 1
        case _ if "No space left on device" in str(error):  # as safetensors and SQLite say it
            return "no space left on the disk written to", "free some space and run the same command again", 1
        case _:
            said = str(error).strip().splitlines()
            what = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
            return f"unexpected {what}", "this is a mistake in renga; `--debug` shows where", 1


def _plain(error: click.ClickException) -> str:
    """Click's message in the style of ours: no capital, no full stop."""
    message = error.format_message().rstrip(".").replace(". Did you mean", ": did you mean")
    return f"{message[:1].lower()}{message[1:]}"


def _is_broken_pipe(error: BaseException) -> bool:
    told = error.__context__ if isinstance(error, SystemExit) else error  # click leaves at once
    return isinstance(told, OSError) and told.errno == errno.EPIPE
