"""How far clients in other processes are: small datagrams on a UNIX socket, lost without harm."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OnProgress = Callable[[str, str, int, int, float | None, int], None]
LARGEST = 4096


def teller(path: Path) -> OnProgress:
    """What tells the listener at `path`, and never waits for it."""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)

    def tell(who: str, phase: str, step: int, steps: int, loss: float | None, tokens: int) -> None:
        with suppress(OSError):
            sender.sendto(json.dumps([who, phase, step, steps, loss, tokens]).encode(), str(path))

    return tell


@contextmanager
def listening(path: Path, report: OnProgress) -> Iterator[None]:
    """Hand on what is told at `path`, from a thread."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    over = threading.Event()

    def listen() -> None:
        while True:
            data = receiver.recv(LARGEST)
            if over.is_set():
                return
            with suppress(ValueError, TypeError):
                who, phase, step, steps, loss, tokens = json.loads(data)
                report(str(who), str(phase), int(step), int(steps), loss, int(tokens))

    thread = threading.Thread(target=listen, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last, suppress(OSError):
            last.sendto(b"", str(path))
        thread.join(timeout=5.0)
        receiver.close()
        path.unlink(missing_ok=True)
