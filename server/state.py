"""The server's state: one folder per finished round, written whole or not at all.

    rounds/0001/round.json       the round's record, who took part, what is adopted
    rounds/0001/host.adapter     the host's adapter after the round
    rounds/0001/<cohort>.adapter each cohort's adopted adapter
    rounds/0001/published        what clients were shown, signed (see `protocol.published`); between machines
    attempts.json                how often each round was begun: the one file that is ever replaced

A round is written under a temporary name, flushed to the disk and renamed; a process killed at any instant
leaves the rounds before whole. The folders are the journal: what they say is all there is to say.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.models.adapter import Adapter
from renga.models.carried import from_bytes, to_bytes

LARGE = 1 << 20  # bytes that are not kept in memory
Turn = tuple[int, int]
_TURNS = ("adopted", "since", "holds")


@dataclass(frozen=True)
class Standing:
    """Where a federation stands after a round; round 0 is before the first.

    `since` and `holds` are turns by client (see `round.Participant`), `adopted` by cohort.
    """

    round: int = 0
    host: Adapter | None = None
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    adopted: Mapping[str, Turn] = field(default_factory=dict)
    since: Mapping[str, Turn] = field(default_factory=dict)
    holds: Mapping[str, Turn] = field(default_factory=dict)


class ServerState:
    """The rounds of one federation, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._rounds = folder / "rounds"
        self._attempts = folder / "attempts.json"
        self._rounds.mkdir(parents=True, exist_ok=True)
        for leftover in self._rounds.glob("*.new"):
            shutil.rmtree(leftover)

    def begin(self, round: int) -> int:
        """Note, durably, that `round` is begun; which attempt it is, from 1.

        Clients key what they keep by attempt, so a round that is played again finds nothing of the last try.
        Raises RengaError when the disk is full or not writable.
        """
        attempts = json.loads(self._attempts.read_text()) if self._attempts.exists() else {}
        attempts[str(round)] = attempts.get(str(round), 0) + 1
        temporary = self._attempts.with_suffix(".new")
        try:
            _write(temporary, json.dumps(attempts).encode())
            os.replace(temporary, self._attempts)
            _sync_folder(self._attempts.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise _unwritable(f"that round {round} begins", self._attempts, error) from error
        return int(attempts[str(round)])

    def set_aside(self, blob: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same bytes, the large ones in a file that is gone as soon as nobody looks at them.

        What a round has heard is then as much as the disk bears, not the memory. Raises RengaError when the
        disk is full.
        """
        if blob.nbytes < LARGE:
            return blob
        try:
            with tempfile.TemporaryFile(dir=self._rounds) as file:
                file.write(blob.data)
                file.flush()
                return np.asarray(np.memmap(file, np.uint8, mode="r"))
        except OSError as error:
            raise _unwritable("what a client sent", self._rounds, error) from error

    def finish(self, standing: Standing, record: Mapping[str, Any], published: bytes = b"") -> None:
        """Write a round down. After this returns it has happened; before, it has not.

        Raises RengaError when the disk is full or not writable; the rounds before stay whole.
        """
        final = self._rounds / f"{standing.round:04d}"
        temporary = final.with_suffix(".new")
        try:
            temporary.mkdir()
            if standing.host is not None:
                _write(temporary / "host.adapter", to_bytes(standing.host))
            for cohort, adapter in standing.adapters.items():
                _write(temporary / f"{cohort}.adapter", to_bytes(adapter))
            turns = {key: getattr(standing, key) for key in _TURNS}
            about = {"round": standing.round, **{k: dict(v) for k, v in turns.items()}, "record": record}
            _write(temporary / "round.json", json.dumps(about, sort_keys=True).encode())
            if published:
                _write(temporary / "published", published)
            _sync_folder(temporary)
            os.rename(temporary, final)
            _sync_folder(self._rounds)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise _unwritable(f"round {standing.round}", self._rounds, error) from error

    def standing(self) -> Standing:
        """Where the last finished round left off."""
        rounds = self._finished()
        if not rounds:
            return Standing()
        folder = rounds[-1]
        about = _read(folder)
        adapters = {
            path.stem: from_bytes(np.fromfile(path, dtype=np.uint8))
            for path in sorted(folder.glob("*.adapter"))
            if path.stem != "host"
        }
        host = folder / "host.adapter"
        return Standing(
            round=int(about["round"]),
            host=from_bytes(np.fromfile(host, dtype=np.uint8)) if host.exists() else None,
            adapters=adapters,
            **{key: {k: (v[0], v[1]) for k, v in about[key].items()} for key in _TURNS},
        )

    def records(self) -> list[dict[str, Any]]:
        """What was told of each finished round, in order."""
        return [_read(folder)["record"] for folder in self._finished()]

    def published(self) -> list[bytes]:
        """What was published of the finished rounds, in order; rounds of which nothing was are left out."""
        links = (folder / "published" for folder in self._finished())
        return [link.read_bytes() for link in links if link.exists()]

    def publish(self, round: int, link: bytes) -> None:
        """Add what is published of a finished round of which nothing was. Raises RengaError as `finish`."""
        folder = self._rounds / f"{round:04d}"
        temporary = folder / "published.new"
        try:
            _write(temporary, link)
            os.rename(temporary, folder / "published")
            _sync_folder(folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise _unwritable(f"what is published of round {round}", folder, error) from error

    def _finished(self) -> list[Path]:
        return sorted(path for path in self._rounds.iterdir() if path.name.isdigit())


def _unwritable(what: str, where: Path, error: OSError) -> RengaError:
    return RengaError(
        f"can't write {what} to {where}: {error.strerror}",
        hint="the rounds before it are whole; make room, then go on with --resume",
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "round.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text())
        if set(about) == {"round", "record", *_TURNS}:
            return about
    except (OSError, TypeError, ValueError):
        pass
    raise RengaError(f"{path} is not what was written there", hint="restore it, or begin anew elsewhere")


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
