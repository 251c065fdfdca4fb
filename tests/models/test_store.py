"""What is in the store is whole, and knows when what it came from has changed."""

import hashlib
import os
import time

import pytest

from renga.errors import RengaError
from renga.models import store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_where_the_store_lies(monkeypatch, tmp_path):
    assert store.root() == tmp_path / "cache"
    monkeypatch.delenv("RENGA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.root() == tmp_path / "xdg" / "renga"


def writing(text):
    def write(draft):
        (draft / "one").write_text(text)

    return write


def test_a_folder_appears_whole_or_not_at_all(cache):
    target = cache / "models" / "a"

    def half(draft):
        (draft / "one").write_text("1")
        raise ValueError

    with pytest.raises(ValueError):
        store.publish_folder(target, half)
    assert not list(target.parent.iterdir())
    store.publish_folder(target, writing("1"))
    assert [p.name for p in target.iterdir()] == ["one"]
    store.publish_folder(target, writing("2"))
    assert (target / "one").read_text() == "1"  # named by content: whoever came first wrote the same
    assert [p.name for p in target.parent.iterdir()] == ["a"]


def test_what_the_dead_left_is_swept_after_a_day(cache):
    target = cache / "files" / "f"
    folder = cache / "models" / ".old-1"
    folder.mkdir(parents=True)
    (folder / "big").write_text("x")
    yesterday = time.time() - 100_000
    os.utime(folder, (yesterday, yesterday))
    (cache / "models" / ".young-1").mkdir()
    store.publish_folder(cache / "models" / "b", lambda draft: None)
    assert {p.name for p in (cache / "models").iterdir()} == {".young-1", "b"}
    store.publish_file(target, iter([b"a", b"b"]))
    assert target.read_bytes() == b"ab"


def test_a_full_disk_is_one_line_that_says_what_to_do(cache):
    def full(draft):
        raise OSError(28, "No space left on device")

    with pytest.raises(RengaError, match="no space left") as error:
        store.publish_folder(cache / "models" / "a", full)
    assert "RENGA_CACHE" in error.value.hint
    assert not list((cache / "models").iterdir())


def test_a_store_that_can_not_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(RengaError, match="failed"):
        store.publish_folder(store.root() / "models" / "a", lambda draft: None)
    # What is only remembered there is computed again.
    (tmp_path / "x").write_bytes(b"abc")
    assert store.file_hash(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_a_hash_is_computed_once_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert store.file_hash(path) == hashlib.sha256(b"abc").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(store, "read_chunks", lambda _: pytest.fail("read again"))
        assert store.file_hash(path) == hashlib.sha256(b"abc").hexdigest()
    time.sleep(0.01)
    path.write_bytes(b"abd")
    assert store.file_hash(path) == hashlib.sha256(b"abd").hexdigest()


def test_a_damaged_note_is_not_believed(tmp_path, cache):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    right = store.file_hash(path)
    for damage in ("", "{", "[]", '{"sha256": 3}'):
        for note in (cache / "notes").iterdir():
            note.write_text(damage)
        assert store.file_hash(path) == right


def test_one_at_a_time(cache):
    waited = []
    with store.alone(cache / "a", lambda: waited.append("first")):
        child = os.fork()
        if not child:
            told = []
            with store.alone(cache / "a", lambda: told.append(1)):
                os._exit(7 if told else 8)
        time.sleep(0.3)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert not waited
