"""A model on its way to disk: whole under its name, or not there at all.

The draft is a hidden folder beside the target, `.NAME.partial`; in it the shards at their full size, and a
journal of the tensors that are finished and on the disk. The target appears by one rename when all is
written. A merge that was stopped, killed or ran out of space leaves the draft, and `resume` goes on where the
journal ends; whether it is the same merge shows in the digest that the journal begins with.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints.shards import Shard

_JOURNAL = "journal"
# The disk is made sure of after so many bytes: at most these are computed again.
_SYNC_EVERY = 1 << 29


def refuse_existing(target: Path, *, resume: bool) -> None:
    """Raises UsageError when the target is there, or a draft of it that nobody asked to go on with."""
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists", hint="choose another folder; nothing is overwritten")
    if not resume and draft_of(target).exists():
        raise UsageError(
            f"a merge into {target} was interrupted",
            hint=f"go on with --resume, or remove {draft_of(target)}",
        )


def draft_of(target: Path) -> Path:
    """Where the draft of a target lies."""
    return target.parent / f".{target.name}.partial"


@dataclass
class Draft:
    """The open draft of a model. Its methods may be called from many threads."""

    folder: Path
    shards: Sequence[Shard]
    finished: set[str]
    _files: dict[str, int] = field(default_factory=dict)
    _place: dict[str, tuple[int, int]] = field(default_factory=dict)
    _waiting: list[str] = field(default_factory=list)
    _unsynced: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, name: str, at: int, data: Any) -> None:
        """Put bytes into tensor `name`, `at` bytes from its beginning."""
        file, start = self._place[name]
        view, at = memoryview(data).cast("B"), start + at
        while view:
            done = os.pwrite(file, view, at)
            view, at = view[done:], at + done

    def finish(self, name: str, size: int) -> None:
        """Tensor `name`, of `size` bytes, is complete."""
        with self._lock:
            self._waiting.append(name)
            self._unsynced += size
            if self._unsynced >= _SYNC_EVERY:
                self._sync()

    def _sync(self) -> None:
        for file in self._files.values():
            os.fdatasync(file)
        lines = "".join(json.dumps(name) + "\n" for name in self._waiting)
        with (self.folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(lines)
            journal.flush()
            os.fsync(journal.fileno())
        self.finished.update(self._waiting)
        self._waiting, self._unsynced = [], 0

    def publish(self, target: Path) -> None:
        """Give the folder its name. Everything that belongs in it has been written."""
        self._sync()
        (self.folder / _JOURNAL).unlink()
        for path in self.folder.iterdir():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        if target.exists():
            raise RengaError(f"{target} has appeared meanwhile", hint=f"the result lies in {self.folder}")
        self.folder.rename(target)


@contextmanager
def opened_draft(target: Path, shards: Sequence[Shard], digest: str, *, resume: bool) -> Iterator[Draft]:
    """The draft of a model with these files; an interrupted one is gone on with where `resume` says so.

    `digest` identifies the merge. Raises UsageError as `refuse_existing` and when the interrupted merge is
    another one, RengaError when the disk has no room.
    """
    refuse_existing(target, resume=resume)
    folder = draft_of(target)
    with _told(folder):
        finished = _journal(folder, digest) if folder.exists() else None
        if finished is None:
            _begin(folder, shards, digest)
        draft = Draft(folder, shards, finished or set())
        for shard in shards:
            file = os.open(folder / shard.file, os.O_RDWR)
            draft._files[shard.file] = file
            for name, start in shard.starts.items():
                draft._place[name] = (file, start)
        try:
            yield draft
        except BaseException:
            if draft._waiting and folder.exists():
                draft._sync()  # what is finished stays finished
            raise
        finally:
            for file in draft._files.values():
                os.close(file)


def _begin(folder: Path, shards: Sequence[Shard], digest: str) -> None:
    needed = sum(shard.size for shard in shards)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise RengaError(
            f"no space left: the result takes {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            hint=f"free some space in {folder.parent.resolve()}, or write elsewhere",
        )
    folder.mkdir()
    for shard in shards:
        with (folder / shard.file).open("wb") as file:
            file.write(shard.header)
            file.truncate(shard.size)
    with (folder / _JOURNAL).open("w", encoding="utf-8") as journal:  # last: a draft without it is none
        journal.write(digest + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def _journal(folder: Path, digest: str) -> set[str] | None:
    """The finished tensors of a draft; None for one that was left before anything was computed."""
    try:
        lines = (folder / _JOURNAL).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        shutil.rmtree(folder)
        return None
    if lines[0] != digest:
        raise UsageError(
            f"{folder} was left by another merge: other inputs, options or version",
            hint="repeat the interrupted command as it was, or remove that folder",
        )
    finished = set()
    for line in lines[1:]:
        try:
            finished.add(str(json.loads(line)))
        except ValueError:  # the last line, cut off, or the end
            continue
    return finished


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = (
            "no space left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror or error)
        )
        raise RengaError(
            f"writing into {folder} failed: {what}", hint="mend it and go on with --resume"
        ) from error
