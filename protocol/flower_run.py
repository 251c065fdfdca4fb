"""A run of ours on Flower's engines: started with `flwr run`, played here over the grid that its ServerApp
lends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from renga.errors import RengaError
from renga.protocol.flower_programs import FINISHED, Home, Program, flwr, launch, status
from renga.protocol.relay import Door, RelayedGrid

LEAVING = 30.0  # seconds that a finished run has to say so


@contextmanager
def relayed(
    bundle: Path,
    home: Home,
    superlink: Program,
    socket: Path,
    run_config: Mapping[str, str],
    federation_config: Mapping[str, object] | None = None,
    *,
    patience: float = 180.0,
) -> Iterator[RelayedGrid]:
    """The grid of a run that was started for this; what happens inside is the run.

    `socket`: where the ServerApp comes to; the bundle's run config has the key `socket`. Raises RengaError
    when the run does not begin within `patience` seconds, or Flower says afterwards that it was not
    completed.
    """
    door = Door(socket)
    try:
        run = launch(bundle, home, {"socket": str(socket), **run_config}, federation_config)
        grid = _lent(door, run, home, superlink, patience)
        try:
            yield grid
        except BaseException:
            _stop(run, home)
            raise
        grid.end()
        _completed(run, home)
    finally:
        door.close()


def _lent(door: Door, run: str, home: Home, superlink: Program, patience: float) -> RelayedGrid:
    """The grid of the ServerApp, once it has come; Flower's reason if it never does."""
    found: list[RelayedGrid] = []
    come = threading.Event()

    def wait() -> None:
        try:
            found.append(RelayedGrid(door.accept()))
        except (OSError, EOFError):
            return
        come.set()

    threading.Thread(target=wait, name="door", daemon=True).start()
    asked = time.monotonic()
    end = asked + patience
    while not come.wait(0.2):
        now = time.monotonic()
        if not superlink.running:
            raise RengaError(
                f"Flower's SuperLink ended: {superlink.last_words()}", hint=f"see {superlink.log}"
            )
        if now - asked > 5.0:
            asked, (what, details) = now, status(run, home)
            if what.startswith(FINISHED):
                raise RengaError(f"Flower's run ended before it began: {what} {details}".rstrip())
        if now > end:
            raise RengaError(
                f"Flower's run has not begun after {patience:.0f} s", hint=f"see {superlink.log}"
            )
    return found[0]


def _completed(run: str, home: Home) -> None:
    """Raises RengaError unless Flower says that the run was completed: its exit status is not to be
    trusted."""
    end = time.monotonic() + LEAVING
    while not (found := status(run, home))[0].startswith(FINISHED):
        if time.monotonic() > end:
            return  # every round is written down; that Flower is slow to say goodbye changes nothing
        time.sleep(0.5)
    if found[0] != f"{FINISHED}completed":
        raise RengaError(f"Flower's run: {found[0]} {found[1]}".rstrip())


def _stop(run: str, home: Home) -> None:
    try:
        flwr(["stop", run], home, patience=20.0)
    except RengaError:
        return  # it is over already, or its SuperLink is
