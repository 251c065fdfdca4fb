"""Where prepared models lie, and how a thing gets there whole or not at all.

The store is a folder of the user's (`~/.cache/renga`, or what `RENGA_CACHE` says):

    models/<content hash of what it came from>/   config, tokenizer, safetensors, `renga.json`
    files/<name>.gguf                           weights put together from pieces, until they are prepared
    notes/<key>.json                            what was computed once about a file: its hash, a fingerprint
    locks/                                      held by whoever prepares a model

Everything in it can be deleted at any time; it is made again when wanted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from renga.errors import RengaError

_CHUNK = 1 << 22

# Our own facts about a prepared model, beside its config.
FACTS = "renga.json"


def root() -> Path:
    """The store's folder (it may not exist yet)."""
    if place := os.environ.get("RENGA_CACHE"):
        return Path(place).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "renga"


@contextmanager
def _told(doing: str, at: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line that a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"free some space, or set RENGA_CACHE to a disk that has it (this one: {root()})"
            raise RengaError(f"no space left while {doing} {at}", hint=hint) from error
        hint = f"make {root()} writable, or set RENGA_CACHE to a folder that is"
        raise RengaError(f"{doing} {at} failed: {error.strerror or error}", hint=hint) from error


def publish_folder(target: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a fresh folder, then give it the name `target` in one move.

    Dying on the way leaves at most a nameless folder, which a later run removes. When another process
    published the same target first, its copy stays: targets are named by content.
    """
    with _told("writing", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name[:16]}-", dir=target.parent))
        try:
            write(draft)
            for path in draft.iterdir():
                path.chmod(0o644)
                _sync(path)
            draft.chmod(0o755)
            try:
                draft.rename(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            _sync(target.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def clear(target: Path) -> None:
    """Remove `target`, and what processes that died left of it. Only for who is `alone` with it."""
    with _told("removing", target):
        for folder in (target, *target.parent.glob(f".{target.name[:16]}-*")):
            if folder.exists():
                shutil.rmtree(folder)


def publish_file(target: Path, chunks: Iterator[bytes]) -> Path:
    """Write a file under a temporary name and rename it to `target`."""
    with _told("writing", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, target)
        finally:
            Path(name).unlink(missing_ok=True)
    return target


def _sweep(folder: Path) -> None:
    """Remove what processes that died left under temporary names, if nobody touched it for a day."""
    for left in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextmanager
def alone(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the store's lock on `target`; `waiting` is called once if another process has it.

    Only to spare work: what is published is whole with or without it. The system frees the lock of a
    process that dies.
    """
    from filelock import FileLock, Timeout

    with _told("locking", target):
        place = root() / "locks"
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / f"{target.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def room_for(size: int, what: str) -> None:
    """Raise RengaError unless the store's disk has `size` bytes left."""
    place = root()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < size:
        raise RengaError(
            f"no space left: {what} takes {size / 1e9:.1f} GB in {root()}, {free / 1e9:.1f} GB are free",
            hint="free some space, or set RENGA_CACHE to a folder on a larger disk",
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, a few megabytes at a time."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def stamp(paths: Sequence[Path]) -> str:
    """What changes when one of the files does: their paths, sizes and times of last change, hashed."""
    facts = [(str(p.resolve()), s.st_size, s.st_mtime_ns) for p in sorted(paths) for s in (p.stat(),)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def remembered(kind: str, paths: Sequence[Path], compute: Callable[[], str]) -> str:
    """`compute()`, a costly string about the files, computed once as long as they stay as they are.

    A store that can't be written only costs time: the answer is then computed again.
    """
    note = root() / "notes" / f"{kind}-{stamp(paths)[:40]}.json"
    try:
        value = json.loads(note.read_text())[kind]
        if isinstance(value, str):
            return value
    except (OSError, ValueError, KeyError, TypeError):
        pass
    value = compute()
    with suppress(RengaError):
        publish_file(note, iter([json.dumps({kind: value, "of": [str(p) for p in paths]}).encode()]))
    return value


def file_hash(path: Path) -> str:
    """sha256 of the file's bytes, hex; remembered by path, size and time of last change."""

    def compute() -> str:
        digest = hashlib.sha256()
        for chunk in read_chunks(path):
            digest.update(chunk)
        return digest.hexdigest()

    return remembered("sha256", [path], compute)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Plain, sorted JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
