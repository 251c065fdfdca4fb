"""What a client keeps between the steps and the rounds, keyed by (round, attempt).

A step that is repeated writes the same again; a round that was never finished is never gone on from. So a
killed client, or a server that plays a round once more, can't apply anything twice.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from renga.errors import RengaError
from renga.models.adapter import Adapter
from renga.models.carried import from_bytes, to_bytes

Turn = tuple[int, int]


class ClientState:
    """Adapters of one client, by turn and name, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, turn: Turn, name: str, adapter: Adapter) -> None:
        """Write durably, whole or not at all. Raises RengaError when the disk is full or not writable."""
        path = self._path(turn, name)
        temporary = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(to_bytes(adapter))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            # The server hears of this, hence no path.
            raise RengaError(
                f"can't keep adapter {name!r} of round {turn[0]}: {error.strerror}",
                hint="make room in the client's state folder",
            ) from error

    def load(self, turn: Turn, name: str) -> Adapter:
        """What was saved. Raises RengaError if it isn't there: the state folder was lost or swapped."""
        try:
            blob = np.fromfile(self._path(turn, name), dtype=np.uint8)
        except FileNotFoundError:
            raise RengaError(
                f"no adapter {name!r} of round {turn[0]} is kept here",
                hint="the client's state was moved or deleted; let it join anew",
            ) from None
        return from_bytes(blob)

    def has(self, turn: Turn, name: str) -> bool:
        return self._path(turn, name).exists()

    def latest(self, name: str) -> tuple[Turn, Adapter] | None:
        """The newest adapter that was saved under this name, and its turn."""
        found = sorted(self._folder.glob(f"[0-9]*-[0-9]*/{name}.adapter"))
        if not found:
            return None
        round, attempt = found[-1].parent.name.split("-")
        turn = int(round), int(attempt)
        return turn, self.load(turn, name)

    def forget(self, keep: set[Turn]) -> None:
        """Drop the turns that nobody will go on from."""
        wanted = {self._name(turn) for turn in keep}
        for folder in sorted(self._folder.glob("[0-9]*-[0-9]*")):
            if folder.name not in wanted:
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()

    def _path(self, turn: Turn, name: str) -> Path:
        return self._folder / self._name(turn) / f"{name}.adapter"

    @staticmethod
    def _name(turn: Turn) -> str:
        return f"{turn[0]:04d}-{turn[1]:02d}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
