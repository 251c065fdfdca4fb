"""Bulk by content: blobs in files named by their sha256, brought in parts, gone on with after a break.

Nothing is ever whole in memory here. A blob counts once its bytes have been checked against its name.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from renga.errors import RefusedPayload, RengaError

PART = 256 << 10  # bytes of a part on the wire
LARGEST = 2 << 30  # bytes of a blob, if nothing else is said


class BlobStore:
    """Blobs in a folder.

    `room`: bytes that all of them together may take, unfinished ones included. `largest`: of one.
    """

    def __init__(self, folder: Path, *, room: int = 8 << 30, largest: int = LARGEST) -> None:
        self._folder = folder
        self._room = room
        self._largest = largest
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RengaError(f"can't write in {folder}: {error.strerror}") from error

    def add(self, parts: Iterable[bytes]) -> tuple[str, int]:
        """Keep a blob of our own; its sha256 (hex) and size. Raises RengaError if the disk won't take it."""
        temporary = self._folder / f".{os.getpid()}-{time.monotonic_ns()}.new"
        digest, size = hashlib.sha256(), 0
        try:
            with open(temporary, "wb") as file:
                for part in parts:
                    file.write(part)
                    digest.update(part)
                    size += len(part)
            os.replace(temporary, self._path(digest.hexdigest()))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RengaError(f"can't keep a blob of {size} bytes: {error.strerror}") from error
        return digest.hexdigest(), size

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def arrived(self, digest: str, size: int) -> int:
        """How many bytes of a blob are here already: a peer goes on from there.

        Raises RefusedPayload for one that is too large, or for which there is no room.
        """
        if self.has(digest):
            return size
        partial = self._partial(digest)
        have = _size(partial)
        if have > size:
            partial.unlink(missing_ok=True)
            have = 0
        if size > self._largest:
            raise RefusedPayload(f"a blob of {size} bytes is larger than the {self._largest} that are taken")
        if self.bytes() + size - have > self._room:
            raise RefusedPayload("there is no room for this blob now")
        return have

    def append(self, digest: str, part: bytes, at: int, size: int) -> int:
        """Write a part where it belongs; the bytes here now. RefusedPayload for one that doesn't fit."""
        if len(part) > PART or at + len(part) > size:
            raise RefusedPayload("a part is longer than it may be")
        try:
            with open(self._partial(digest), "ab") as file:
                if file.tell() != at:
                    raise RefusedPayload("a part is not where the blob goes on")
                file.write(part)
        except OSError as error:
            raise RengaError(f"can't keep a blob: {error.strerror}") from error
        return at + len(part)

    def finish(self, digest: str) -> None:
        """Check a blob whose last part has come. RefusedPayload, and it is dropped, if it is another."""
        if self.has(digest):
            return
        partial = self._partial(digest)
        try:
            with open(partial, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != digest:
                partial.unlink(missing_ok=True)
                raise RefusedPayload("a blob is not what its name says")
            os.replace(partial, self._path(digest))
        except FileNotFoundError:  # the same blob, brought twice at once: the other one was quicker
            if not self.has(digest):
                raise RefusedPayload("a blob went away while it was checked") from None

    def parts(self, digest: str, start: int = 0) -> Iterator[bytes]:
        """A blob from byte `start` on. Raises RefusedPayload if it isn't here."""
        try:
            with open(self._path(digest), "rb") as file:
                file.seek(start)
                while part := file.read(PART):
                    yield part
        except FileNotFoundError:
            raise RefusedPayload("there is no such blob") from None

    def read(self, digest: str) -> bytes:
        """A whole blob. Raises RefusedPayload if it isn't here."""
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            raise RefusedPayload("there is no such blob") from None

    def mapped(self, digest: str) -> memoryview:
        """A whole blob, read in as it is looked at. Raises RefusedPayload if it isn't here."""
        try:
            with open(self._path(digest), "rb") as file:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (FileNotFoundError, ValueError):  # a file of no bytes can't be mapped, and is no message
            raise RefusedPayload("there is no such blob") from None

    def size(self, digest: str) -> int:
        """Bytes of a blob. Raises RefusedPayload if it isn't here."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise RefusedPayload("there is no such blob") from None

    def drop(self, digest: str) -> None:
        """Forget a blob, finished or not."""
        self._path(digest).unlink(missing_ok=True)
        self._partial(digest).unlink(missing_ok=True)

    def forget(self, older: float) -> None:
        """Drop what nobody has touched for so many seconds, unfinished blobs included."""
        before = time.time() - older
        for path in self._folder.iterdir():
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:
                continue

    def bytes(self) -> int:
        """Bytes of all files here."""
        with os.scandir(self._folder) as entries:
            return sum(_size(entry) for entry in entries)

    def _path(self, digest: str) -> Path:
        return self._folder / _checked(digest)

    def _partial(self, digest: str) -> Path:
        return self._folder / f"{_checked(digest)}.part"


def _size(file: Path | os.DirEntry[str]) -> int:
    """Bytes of a file, 0 if it isn't there: others add, rename and drop files while we look."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _checked(digest: str) -> str:
    """A digest names a file, so nothing else may pass for one."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise RefusedPayload("this is no sha256")
    return digest
