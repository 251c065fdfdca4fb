"""Blobs come in parts, are gone on with, and count only as what their name says."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from renga.errors import RefusedPayload
from renga.protocol.blobs import LARGEST, PART, BlobStore
from renga.protocol.flower_internals import Wire
from renga.protocol.link_frames import packed, unpacked

DATA = os.urandom(3 * PART + 17)
NAME = hashlib.sha256(DATA).hexdigest()


def bring(store: BlobStore, data: bytes, name: str, until: int) -> None:
    have = store.arrived(name, len(data))
    while have < min(until, len(data)):
        have = store.append(name, data[have : have + PART], have, len(data))


def test_an_upload_that_broke_off_is_gone_on_with_by_another_process(tmp_path: Path) -> None:
    bring(BlobStore(tmp_path), DATA, NAME, until=2 * PART)
    again = BlobStore(tmp_path)
    assert again.arrived(NAME, len(DATA)) == 2 * PART and not again.has(NAME)
    bring(again, DATA, NAME, until=len(DATA))
    again.finish(NAME)
    assert again.read(NAME) == DATA
    assert b"".join(again.parts(NAME, PART + 5)) == DATA[PART + 5 :]
    assert again.arrived(NAME, len(DATA)) == len(DATA)


def test_a_blob_that_is_not_what_its_name_says_is_dropped(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    bring(store, bytes(len(DATA)), NAME, until=len(DATA))
    with pytest.raises(RefusedPayload, match="not what its name"):
        store.finish(NAME)
    assert store.bytes() == 0 and not store.has(NAME)


def test_parts_go_where_they_belong_and_nowhere_else(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, room=1 << 20)
    bring(store, DATA, NAME, until=PART)
    for part, at, size in ((b"x", 0, 10), (b"x" * (PART + 1), PART, 1 << 20), (b"xx", PART, PART + 1)):
        with pytest.raises(RefusedPayload):
            store.append(NAME, part, at, size)
    assert store.arrived(NAME, len(DATA)) == PART
    for size in (LARGEST + 1, 2 << 20):
        with pytest.raises(RefusedPayload):
            store.arrived("a" * 64, size)


@pytest.mark.parametrize("name", ["", "../" + "a" * 61, "A" * 64, "a" * 63, "a" * 63 + "/"])
def test_only_a_digest_names_a_file(tmp_path: Path, name: str) -> None:
    store = BlobStore(tmp_path)
    for use in (store.has, store.read, store.finish, store.drop):
        with pytest.raises(RefusedPayload):
            use(name)


def test_a_message_is_what_was_packed_or_nothing() -> None:
    objects = {hashlib.sha256(data).hexdigest(): data for data in (b"one", b"two" * 99)}
    root = next(iter(objects))
    blob = b"".join(packed(Wire(root, objects)))
    assert unpacked(blob).objects == objects
    changed = bytearray(blob)
    changed[-1] ^= 1
    lacking = b"".join(packed(Wire("a" * 64, objects)))
    for bad in (b"", blob[:11], blob[:-1], blob + b"x", b"X" + blob[1:], bytes(changed), lacking):
        with pytest.raises(RefusedPayload):
            unpacked(bad)


def test_files_that_go_away_while_they_are_counted_are_not_there(tmp_path: Path, monkeypatch) -> None:
    """A reply that was read is dropped in one thread while another asks whether there is room."""
    store, scan = BlobStore(tmp_path), os.scandir
    gone, _ = store.add([b"dropped"])
    store.add([b"kept"])

    @contextmanager
    def dropping(folder: Path):
        with scan(folder) as entries:
            found = list(entries)
        store.drop(gone)
        yield found

    monkeypatch.setattr("renga.protocol.blobs.os.scandir", dropping)
    assert store.bytes() == len(b"kept")
    assert store.arrived(NAME, len(DATA)) == 0


def test_a_blob_brought_twice_at_once_is_there_once(tmp_path: Path, monkeypatch) -> None:
    store = BlobStore(tmp_path)
    bring(store, DATA, NAME, until=len(DATA))
    hashed = hashlib.file_digest

    def second(file, kind):  # ends while the first is still reading
        found = hashed(file, kind)
        monkeypatch.setattr("renga.protocol.blobs.hashlib.file_digest", hashed)
        store.finish(NAME)
        return found

    monkeypatch.setattr("renga.protocol.blobs.hashlib.file_digest", second)
    store.finish(NAME)
    assert store.read(NAME) == DATA
    (tmp_path / NAME).unlink()
    with pytest.raises(RefusedPayload, match="went away"):
        store.finish(NAME)
