"""A process that runs `renga simulate` in forked children and kills them: a fork spares what a start costs.

Commands come as JSON lines on stdin, what became of each child goes out as JSON lines on stdout.

    {"arguments": ["simulate", …], "kill": 7}     SIGKILL at the child's 7th durable call
    {"arguments": […], "after": 0.4}              SIGKILL from outside after so many seconds
    {"arguments": […], "full": 7}                 from the 7th durable call on the disk is full

Children count their fsyncs and leave them out: what a killed process has written stays written without them.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DURABLE = ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir")
NEEDS_ROOM = ("fsync", "mkdir")


def main() -> None:
    from renga.boundary import enter
    from renga.cli import run

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # Once in this process, so that no child pays for what is done the first time.
    warm = json.loads(sys.stdin.readline())
    enter(warm["arguments"], run)
    for line in iter(sys.stdin.readline, ""):
        command = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(_child(command, Path(folder))), file=answers, flush=True)


def _child(command: dict[str, Any], folder: Path) -> dict[str, Any]:
    child = os.fork()
    if child == 0:
        _become(command, folder)
    if "after" in command:
        time.sleep(command["after"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    calls = folder / "calls"
    return {
        "status": os.waitstatus_to_exitcode(status),
        "out": (folder / "out").read_text(),
        "err": (folder / "err").read_text(),
        "calls": int(calls.read_text()) if calls.exists() else None,
    }


def _become(command: dict[str, Any], folder: Path) -> None:
    from renga.boundary import enter
    from renga.cli import run

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    count = _count_durable_calls(command.get("kill"), command.get("full"))
    status = enter(command["arguments"], run)
    (folder / "calls").write_text(str(count[0]))
    os._exit(status)


def _count_durable_calls(kill: int | None, full: int | None) -> list[int]:
    count = [0]

    def wrapped(name: str) -> Any:
        call = getattr(os, name)

        def counting(*args: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            if full is not None and count[0] >= full and name in NEEDS_ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return None if name == "fsync" else call(*args, **options)

        return counting

    for name in DURABLE:
        setattr(os, name, wrapped(name))
    return count


if __name__ == "__main__":
    main()
