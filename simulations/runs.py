"""The folder of a run: who may write in it, what was measured, and `metrics.jsonl`.

What is measured is kept a file each, so that a run that goes on after a kill measures nothing twice;
`metrics.jsonl` is made from the server's rounds and these files, and so can't contradict them.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w

from renga.config import Config
from renga.errors import RengaError, UsageError

Record = dict[str, Any]


class RunFolder:
    """`runs/<name>`: config.toml, state/, clients/, measured/, metrics.jsonl, adapters/, report.html."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.clients = folder / "clients"
        self.adapters = folder / "adapters"
        self._measured = folder / "measured"

    @contextmanager
    def held(self, config: Config, *, resume: bool) -> Iterator[None]:
        """Hold the folder for one process, with the config written in it.

        Raises UsageError if another process runs here, if a run is here and `resume` is False, or if it was
        begun with another config or other texts; RengaError if there is no room to write.
        """
        text = f"# sha256 of the texts it was begun with: {_digest(config)}\n" + _toml(config)
        made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open(self.folder / ".lock", "w")  # noqa: SIM115 - closed by the `with` below
        except OSError as error:
            raise RengaError(
                f"can't write in {self.folder}: {error.strerror}",
                hint="free some space, or choose another --out",
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"{self.folder} is in use by another process", hint="wait for it, or choose another --out"
                ) from None
            written = self.folder / "config.toml"
            if written.exists():
                if not resume:
                    raise UsageError(
                        f"{self.folder} already holds a run",
                        hint="go on with --resume, or choose another --out",
                    )
                if _essence(written.read_text()) != _essence(text):
                    raise UsageError(
                        f"{self.folder} was begun with another config, or other texts, than these",
                        hint=f"compare it with {written}, or choose another --out",
                    )
            for folder in (self.folder, self._measured):
                for leftover in folder.glob(".*.new"):  # of a process that was killed here
                    leftover.unlink()
            begun = not written.exists()
            try:
                if begun:
                    write_whole(written, text)
                yield
            except RengaError:
                if begun and not any(self._measured.glob("*.json")):
                    self._undo(made)
                raise
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise RengaError(
                    f"no space left on the disk of {self.folder}",
                    hint="what is finished is whole; free some space, then go on with --resume",
                ) from error

    def written_for_others(self, config: Config) -> Path:
        """The config with absolute paths, for processes that start elsewhere."""
        dumped = config.model_dump(mode="json")
        for client in dumped["clients"]:
            client |= {key: str(Path(client[key]).absolute()) for key in ("data", "held_out")}
        for key in ("data", "validation"):
            dumped["transfer"][key] = [str(Path(path).absolute()) for path in dumped["transfer"][key]]
        path = (self.folder / "flower" / "config.toml").absolute()
        path.parent.mkdir(exist_ok=True)
        write_whole(path, tomli_w.dumps(dumped))
        return path

    def _undo(self, made: bool) -> None:
        """Leave no trace of a run that came to nothing, say because a model could not be loaded."""
        for folder in (self.state, self.clients, self._measured):
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("config.toml", ".lock"):
            (self.folder / name).unlink(missing_ok=True)
        if made:
            with suppress(OSError):  # something else lies there by now
                self.folder.rmdir()

    def measured(self, name: str, measure: Callable[[], Record]) -> Record:
        """What was measured under `name`, or what `measure` finds now; kept either way."""
        path = self._measured / f"{name}.json"
        if path.exists():
            kept: Record = json.loads(path.read_text())
            return kept
        found = measure()
        self.note(name, found)
        return found

    def note(self, name: str, record: Record) -> None:
        """Keep `record` under `name`."""
        self._measured.mkdir(exist_ok=True)
        write_whole(self._measured / f"{name}.json", json.dumps(record, sort_keys=True))

    def noted(self) -> list[Record]:
        """Everything kept, in the order of the names."""
        return [json.loads(path.read_text()) for path in sorted(self._measured.glob("*.json"))]

    def write_metrics(self, records: list[Mapping[str, Any]]) -> None:
        """Write `metrics.jsonl`, whole."""
        lines = [json.dumps(record, sort_keys=True) for record in records]
        write_whole(self.folder / "metrics.jsonl", "\n".join(lines) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a kill, finds the old or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _digest(config: Config) -> str:
    """sha256 over all files of text that the config names: a run goes on with those it began with, or not."""
    paths = [path for client in config.clients for path in (client.data, client.held_out)]
    digest = hashlib.sha256()
    for path in (*paths, *config.transfer.data, *config.transfer.validation):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _essence(text: str) -> tuple[str, Any]:
    """What makes a run the same one: its config and its texts, not where the texts lie.

    Paths are written as they were typed, and the same run may be gone on with from another folder.
    """
    digest, _, rest = text.partition("\n")
    try:
        config = tomllib.loads(rest)
    except tomllib.TOMLDecodeError:
        return digest, rest
    for client in config.get("clients", []):
        for key in ("data", "held_out"):
            client.pop(key, None)
    for key in ("data", "validation"):
        config.get("transfer", {}).pop(key, None)
    return digest, config


def _toml(config: Config) -> str:
    return tomli_w.dumps(config.model_dump(mode="json"))
