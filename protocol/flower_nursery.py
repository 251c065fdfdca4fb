"""A process that starts Flower's programs by forking, and takes them with it when it goes.

Each of Flower's programs imports for some two seconds before it does anything, and a SuperNode starts one
per message. Here what they import is imported once, by the names of their console scripts, and every start
is a fork of this process: `flower-supernode`, and the `flower-superexec` and `flwr-clientapp` that it starts
in turn, for which scripts stand in the PATH that lead here (`scripts`).

Requests come on a UNIX socket: one line of JSON `{"name", "arguments", "environment", "folder"}`, with two
file descriptors, stdout and stderr; the answers are two lines, `{"pid": N}`, and `{"status": N}` when it has
ended. When stdin closes, because the process that began all this has ended in whatever way, everything that
was started is killed: nothing of Flower's outlives it.

Run as a script with `-IS` this module needs only what it imports, and is one such request.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

LONGEST = 1 << 20  # bytes of a request


def main() -> None:
    """`flower_nursery.py LISTENING NAME…`: serve the socket, with these programs and modules imported."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name) if "." in name else _entry(name)
    name, arguments = _serve(listening)
    # From here on this is a child, and the program: it ends as it would if it had been started alone.
    sys.argv = [name, *arguments]
    status = [1]
    atexit.register(_leave, status)  # runs after what the program itself registers, before what it inherited
    try:
        status[0] = _status(_entry(name)())
    except SystemExit as leaving:
        status[0] = _status(leaving.code)
    except Exception:  # noqa: BLE001 - the end of a program
        # Flower's SuperNode would stay on as a shell of itself: threads of its own go on without the first.
        traceback.print_exc()
        os._exit(1)
    sys.exit(status[0])


def _status(code: object) -> int:
    """What a program's end means, as `sys.exit` has it."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _leave(status: list[int]) -> None:
    """End without taking down what belongs to the nursery: for torch alone that is a second of processor."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status[0])


def scripts(folder: Path, address: Path, names: list[str]) -> None:
    """Write a script for each program that asks the nursery at `address` for it."""
    for name in names:
        script = folder / name
        python, here = _quoted(sys.executable), _quoted(os.path.abspath(__file__))
        script.write_text(f'#!/bin/sh\nexec {python} -IS {here} {_quoted(str(address))} {name} "$@"\n')
        script.chmod(0o700)


def request(
    address: str, name: str, arguments: list[str], environment: dict[str, str], out: int, err: int
) -> BufferedReader:
    """Ask for a program; a file of the answers' lines, once the first of them says that it was started."""
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asking.connect(address)
    command = {"name": name, "arguments": arguments, "environment": environment, "folder": os.getcwd()}
    line = json.dumps(command).encode() + b"\n"
    sent = socket.send_fds(asking, [line], [out, err])
    asking.sendall(line[sent:])
    answers = asking.makefile("rb")
    asking.close()
    return answers


def _serve(listening: socket.socket) -> tuple[str, list[str]]:
    """Start what is asked for. Returns in a child alone: what it is to be."""
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who look after us
    watched = selectors.DefaultSelector()
    for thing in (listening, woken, sys.stdin.buffer):
        watched.register(thing, selectors.EVENT_READ)
    children: dict[int, socket.socket] = {}
    while True:
        for key, _ in watched.select():
            if key.fileobj is listening:
                connection, _ = listening.accept()
                begun = _begun(connection)
                if begun is None:
                    continue
                pid, command = begun
                if pid == 0:
                    for held in [connection, listening, woken, wake, *children.values()]:
                        held.close()
                    watched.close()
                    return command
                children[pid] = connection
                _say(connection, {"pid": pid})
            elif key.fileobj is woken:
                with suppress(BlockingIOError):
                    woken.recv(1024)
                _reap(children)
            else:
                for pid in children:
                    for kill in (os.killpg, os.kill):  # one that has only just begun has no group yet
                        with suppress(OSError):
                            kill(pid, signal.SIGKILL)
                os._exit(0)


def _reap(children: dict[int, socket.socket]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with children.pop(pid) as connection:
                _say(connection, {"status": os.waitstatus_to_exitcode(status)})


def _begun(connection: socket.socket) -> tuple[int, tuple[str, list[str]]] | None:
    """Read a request and fork for it: (0 in the child, what it is to be). None if there was none."""
    connection.settimeout(10.0)
    files: list[int] = []
    try:
        read, files, _, _ = socket.recv_fds(connection, LONGEST, 2)
        while not read.endswith(b"\n"):
            if not (more := connection.recv(LONGEST)) or len(read) > LONGEST:
                raise ValueError("half a request")
            read += more
        command = json.loads(read)
        out, err = files
        pid = os.fork()
        if pid == 0:
            _become(command, out, err)
        return pid, (str(command["name"]), [str(each) for each in command["arguments"]])
    except (OSError, ValueError):
        connection.close()
        return None
    finally:
        for file in files:
            with suppress(OSError):
                os.close(file)


def _become(command: dict[str, Any], out: int, err: int) -> None:
    """Make a fresh child what its request says: its group, its signals, its files, its environment."""
    os.setsid()
    _end_with_parent()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(file, number)
    os.close(nothing)
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])


def _say(connection: socket.socket, what: dict[str, int]) -> None:
    with suppress(OSError):  # who asked may have gone
        connection.sendall(json.dumps(what).encode() + b"\n")


def _entry(name: str) -> Callable[[], Any]:
    from importlib.metadata import entry_points

    (found,) = {each.value: each for each in entry_points(group="console_scripts", name=name)}.values()
    entry: Callable[[], Any] = found.load()
    return entry


def _end_with_parent() -> None:
    if sys.platform == "linux":  # elsewhere a nursery that is killed itself leaves its children
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _ask() -> None:
    address, name, *arguments = sys.argv[1:]
    answers = request(address, name, arguments, dict(os.environ), 1, 2)
    status = 1
    for line in answers:
        status = json.loads(line).get("status", status)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    _ask() if sys.flags.isolated else main()
