"""A process that runs `renga` commands in forked children: a fork spares the seconds that every start costs.

Commands come as JSON lines on stdin:

    {"arguments": ["serve", …], "cwd": …, "environment": {…}, "out": FILE, "dies": null or [WHERE, COUNT]}

and are answered by `{"started": PID}`; `{"ended": PID, "status": N}` comes when a child has ended. With
`dies` a child kills itself, as `kill -9` would, when the function WHERE ("package.module:Class.name") is
entered for the COUNT-th time; "package.module:name<" means when it has returned.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
from typing import Any

# What transformers imports when a first tiny model is loaded, and with it what torch leaves for later: five
# seconds of processor, in every process that loads one.
OF_TRANSFORMERS = tuple(
    f"transformers.{name}"
    for name in ("masking_utils", "models.llama.modeling_llama", "tokenization_utils_tokenizers")
)


def main() -> None:
    # What all commands need is imported once; nothing that opens a socket or starts a thread is done here.
    for name in ("asking", "cli", "client_status", "joining", "operating", "serving"):
        importlib.import_module(f"renga.{name}")
    for name in OF_TRANSFORMERS:
        importlib.import_module(name)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    waiting = b""
    children: set[int] = set()
    while True:
        if select.select([0], [], [], 0.02)[0]:
            read = os.read(0, 1 << 16)
            if not read:  # the tests are over, or were killed: nothing of theirs goes on
                for child in children:
                    os.kill(child, signal.SIGKILL)
                os._exit(0)
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                children.add(child := _started(json.loads(line)))
                print(json.dumps({"started": child}), flush=True)
        for child in list(children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                children.discard(child)
                print(json.dumps({"ended": child, "status": os.waitstatus_to_exitcode(status)}), flush=True)


def _started(command: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.chdir(command["cwd"])
        os.environ.update(command["environment"])
        with open(os.devnull) as nothing, open(command["out"], "a") as out:
            os.dup2(nothing.fileno(), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        if command["dies"]:
            _die_at(*command["dies"])
        from renga.boundary import enter
        from renga.cli import run

        status = enter(command["arguments"], run)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    finally:
        os._exit(70)


def _die_at(where: str, count: int) -> None:
    after = where.endswith("<")
    module, _, path = where.rstrip("<").partition(":")
    *outer, name = path.split(".")
    holder: Any = importlib.import_module(module)
    for part in outer:
        holder = getattr(holder, part)
    plain = getattr(holder, name)
    calls = [0]

    def dying(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*arguments, **options)
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(holder, name, dying)


if __name__ == "__main__":
    main()
