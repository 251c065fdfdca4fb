"""The vault: sealed, shared, and whole after whatever happens to it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from renga.client.sanitisation import sealing
from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.decisions import hidden_always
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import Entity, Kind
from renga.client.sanitisation.rules import write_rules
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.client.sanitisation.sealing import WrongKey, key_file
from renga.client.sanitisation.vault import Vault, default_vault
from renga.errors import RengaError, UsageError

NAME = "Jane Quillfeather"


def hide(conversation: Conversation, *names: str) -> str:
    text = " ".join(names)
    entities, at = [], 0
    for name in names:
        entities.append(Entity(at, at + len(name), Kind.PERSON, name.lower()))
        at += len(name) + 1
    return Sanitiser([], conversation=conversation).replace(text, entities).text


def restored(conversation: Conversation, text: str) -> str:
    return "".join(Sanitiser([], conversation=conversation).restore([text]))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RENGA_PASSPHRASE", raising=False)
    monkeypatch.delenv("RENGA_KEYRING", raising=False)
    monkeypatch.setattr(sealing, "MEMORY", 64)  # KiB: the law is the same, the wait is not
    return tmp_path / "v" / "vault.db"


def test_a_conversation_goes_on_in_another_process_and_no_file_says_what_it_holds(path: Path) -> None:
    with Vault(path) as vault:
        out = hide(vault.conversation("my secret talk"), NAME)
        vault.conversation("my secret talk").note({"role": "user", "text": out})
    with Vault(path) as vault:
        again = vault.conversation("my secret talk")
        assert hide(again, NAME) == out and restored(again, out) == NAME
        assert again.turns() == [{"role": "user", "text": out}]
        assert hide(vault.conversation("another"), NAME) != out
        assert [(one.name, one.counts) for one in vault.conversations()][-1] == (
            "my secret talk",
            {"PERSON": 1},
        )
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        data = file.read_bytes().lower()
        for word in ("quillfeather", "jane", "secret talk", "person", out.strip("<>").lower()):
            assert word.encode() not in data


def test_a_passphrase_locks_and_a_wrong_one_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENGA_PASSPHRASE", "correct horse")
    with Vault(path) as vault:
        out = hide(vault.conversation("a"), NAME)
    before = path.read_bytes()
    assert not key_file(path).exists()
    monkeypatch.setenv("RENGA_PASSPHRASE", "wrong horse")
    with pytest.raises(WrongKey, match="can't be opened with this key") as wrong:
        Vault(path)
    assert "RENGA_PASSPHRASE" in wrong.value.hint and "horse" not in str(wrong.value)
    monkeypatch.delenv("RENGA_PASSPHRASE")
    with pytest.raises(UsageError, match="locked with a passphrase"):
        Vault(path)
    assert path.read_bytes() == before
    monkeypatch.setenv("RENGA_PASSPHRASE", "correct horse")
    with Vault(path) as vault:
        assert restored(vault.conversation("a"), out) == NAME
        vault.relock("a new horse")
    monkeypatch.setenv("RENGA_PASSPHRASE", "a new horse")
    with Vault(path) as vault:
        assert restored(vault.conversation("a"), out) == NAME


def test_a_key_file_that_is_lost_or_another_is_no_new_beginning(path: Path) -> None:
    with Vault(path) as vault:
        hide(vault.conversation("a"), NAME)
    key = key_file(path).read_bytes()
    key_file(path).unlink()
    with pytest.raises(UsageError, match="key"):
        Vault(path)
    assert not key_file(path).exists()
    key_file(path).write_bytes(b"QUJD\n")
    key_file(path).chmod(0o600)
    with pytest.raises(WrongKey):
        Vault(path)
    key_file(path).write_bytes(key)
    with Vault(path) as vault:
        assert vault.has("a")


def test_the_system_keyring_holds_the_key_if_asked_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1.0
        held: dict[tuple[str, str], str] = {}  # noqa: RUF012 - as keyring's own

        def get_password(self, service: str, username: str) -> str | None:
            return self.held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.held[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        monkeypatch.setenv("RENGA_KEYRING", "1")
        with Vault(path) as vault:
            out = hide(vault.conversation("a"), NAME)
        monkeypatch.delenv("RENGA_KEYRING")  # the vault remembers where its key is
        with Vault(path) as vault:
            assert restored(vault.conversation("a"), out) == NAME
        assert not key_file(path).exists()
        Memory.held.clear()
        with pytest.raises(UsageError, match="keyring does not hold"):
            Vault(path)
    finally:
        keyring.set_keyring(before)


def test_a_newer_version_is_left_alone(path: Path) -> None:
    Vault(path).close()
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version=2")
    file.close()
    before = path.read_bytes()
    with pytest.raises(RengaError, match="newer Renga"):
        Vault(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"not a database at all" * 200, b"SQLite format 3\0" + b"\xff" * 4000])
def test_what_is_no_vault_is_said_to_be_none(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(RengaError, match="no vault, or damaged"):
        Vault(path)
    assert path.read_bytes() == damage


def test_a_sealed_item_can_be_neither_altered_nor_moved(path: Path) -> None:
    with Vault(path) as vault:
        hide(vault.conversation("a"), NAME)
        vault.conversation("b")
    file = sqlite3.connect(path)
    file.execute("UPDATE items SET conversation=2")
    file.commit()
    with Vault(path) as vault, pytest.raises(WrongKey):
        vault.conversation("b")
    file.execute("UPDATE items SET conversation=1, sealed=CAST(substr(sealed,1,20)||x'00' AS BLOB)")
    file.commit()
    file.close()
    with Vault(path) as vault, pytest.raises(WrongKey, match="damaged"):
        vault.conversation("a")


def test_a_full_disk_loses_nothing_and_leaves_nothing_half_done(path: Path) -> None:
    with Vault(path) as vault:
        one = vault.conversation("a")
        out = hide(one, NAME)
        (pages,) = vault._file.execute("PRAGMA page_count").fetchone()
        vault._file.execute(f"PRAGMA max_page_count={pages}")
        names = [f"Name{number} " + "x" * 300 for number in range(200)]
        with pytest.raises(RengaError, match="no room") as full:
            [hide(one, name) for name in names]
        assert "Name" not in str(full.value)
        known = len(one.pairs)
    with Vault(path) as vault:
        again = vault.conversation("a")
        assert len(again.pairs) == known and restored(again, out) == NAME
        assert hide(again, NAME) == out


def test_erased_expired_exported_and_taken(path: Path, tmp_path: Path) -> None:
    with Vault(path) as vault:
        out = hide(vault.conversation("a"), NAME)
        exported = vault.export("a", "p")
        assert NAME.encode() not in exported
        open_still = vault.conversation("a")
        assert vault.erase("a") and not vault.erase("a") and not vault.has("a")
        with pytest.raises(RengaError, match="erased meanwhile"):
            hide(open_still, "Another")
        with pytest.raises(UsageError, match="no conversation"):
            vault.export("a", "p")
        hide(vault.conversation("old"), NAME)
        vault.expire(10 * vault.conversations()[0].used)
        assert vault.conversations() == []
        assert vault._all("SELECT * FROM items") == []
    with Vault(tmp_path / "other.db") as other:
        with pytest.raises(WrongKey):
            other.take(exported, "q")
        with pytest.raises(UsageError, match="no exported"):
            other.take(b"{}", "p")
        newer = json.dumps({**json.loads(exported), "renga-vault": 9}).encode()
        with pytest.raises(RengaError, match="newer"):
            other.take(newer, "p")
        assert other.take(exported, "p") == "a"
        assert restored(other.conversation("a"), out) == NAME
        with pytest.raises(UsageError, match="already"):
            other.take(exported, "p")


def test_threads_agree_on_every_surrogate(path: Path) -> None:
    names = [f"Name{number}" for number in range(12)]
    with Vault(path) as vault:
        said: dict[int, dict[str, str]] = {}

        def work(which: int) -> None:
            one = vault.conversation("shared")
            order = names[which * 3 :] + names[: which * 3]
            said[which] = {name: hide(one, name) for name in order}

        threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found == said[0] for found in said.values())
        assert len(set(said[0].values())) == len(names)


def test_two_daemons_on_one_vault_agree(path: Path) -> None:
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from tests.client.sanitisation.test_vault import hide\n"
        "from renga.client.sanitisation.vault import Vault\n"
        "names = [f'Name{n}' for n in range(15)]\n"
        "if sys.argv[2] == 'back': names.reverse()\n"
        "with Vault(Path(sys.argv[1])) as vault:\n"
        "    one = vault.conversation('shared')\n"
        "    print(json.dumps({name: hide(one, name) for name in names}))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), order], stdout=subprocess.PIPE, text=True)
        for order in ("on", "back")
    ]
    said = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert said[0] == said[1]
    assert len(set(said[0].values())) == 15


def test_decisions_are_sealed_by_this_vault_only(path: Path, tmp_path: Path) -> None:
    with Vault(path) as vault, Vault(tmp_path / "w.db") as other:
        sealed = vault.seal_value(NAME)
        assert vault.open_value(sealed) == NAME and NAME not in sealed
        for wrong in (sealed[:-4] + "AAA=", "no base64!"):
            with pytest.raises(WrongKey):
                vault.open_value(wrong)
        with pytest.raises(WrongKey):
            other.open_value(sealed)


def test_a_conversation_is_found_again_by_what_its_caller_shows(path: Path) -> None:
    with Vault(path) as vault:
        one = vault.conversation("a")
        vault.leave("what was said", one)
        followed = vault.follow("what was said")
        assert followed is not None and followed.name == "a"
        assert vault.follow("what was not said") is None


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("RENGA_VAULT", raising=False)
    assert default_vault() == tmp_path / "renga" / "vault.db"
    monkeypatch.setenv("RENGA_VAULT", str(tmp_path / "x.db"))
    assert default_vault() == tmp_path / "x.db"


def test_argon2id_is_what_rfc_9106_recommends_and_what_was_used_is_remembered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert (sealing.MEMORY, sealing.PASSES, sealing.LANES) == (64 << 10, 3, 4)
    monkeypatch.setenv("RENGA_PASSPHRASE", "p")
    monkeypatch.setattr(sealing, "MEMORY", 64)
    Vault(path).close()
    monkeypatch.setattr(sealing, "MEMORY", 128)
    Vault(path).close()


def test_a_new_key_that_can_t_be_kept_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk, or when the process is killed, in the middle of `renga vault relock`."""
    with Vault(path) as vault:
        out = hide(vault.conversation("a"), NAME)
        vault._file.execute("CREATE TRIGGER t BEFORE UPDATE ON lock BEGIN SELECT RAISE(ABORT, 'full'); END")
        with pytest.raises(RengaError):
            vault.relock(None)
        assert restored(vault.conversation("a"), out) == NAME
    with Vault(path) as vault:
        assert restored(vault.conversation("a"), out) == NAME
        vault._file.execute("DROP TRIGGER t")
        monkeypatch.setattr("renga.client.sanitisation.vault.settled", lambda path: None)
        vault.relock(None)  # killed before the new key file was in place
    with Vault(path) as vault:
        assert restored(vault.conversation("a"), out) == NAME
    assert sorted(file.name for file in path.parent.iterdir()) == ["vault.db", "vault.db.key"]


def test_a_daemon_goes_on_when_another_process_changes_the_key(path: Path) -> None:
    with Vault(path) as daemon, Vault(path) as other:
        out = hide(daemon.conversation("a"), NAME)
        other.relock(None)
        assert hide(daemon.conversation("a"), NAME) == out and daemon.has("a")
        hide(daemon.conversation("b"), NAME)
        assert {one.name for one in other.conversations()} == {"a", "b"}


def test_a_new_key_seals_decisions_too_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RENGA_PASSPHRASE", raising=False)
    desk = Desk(tmp_path / "vault.db")
    write_rules(desk.rules_file, hidden_always(desk.rules, Kind.ORG, "Bluebird", desk.vault.seal_value))
    desk.reread()
    before = desk.rules_file.read_bytes()

    def full(passphrase: str | None, decided: Callable[[Callable[[str], str]], None]) -> None:
        decided(lambda value: "of a key that is never kept")
        assert desk.rules_file.read_bytes() != before
        raise RengaError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(desk.vault, "relock", full)
        with pytest.raises(RengaError, match="no room"):
            desk.relock(None)
    assert desk.rules_file.read_bytes() == before and "bluebird" not in _out(desk)
    desk.relock(None)
    assert desk.rules_file.read_bytes() != before and "bluebird" not in _out(desk)
    assert "bluebird" not in _out(Desk(tmp_path / "vault.db"))


def _out(desk: Desk) -> str:
    return desk.sanitiser("a").sanitise("about bluebird").text


def test_what_lies_unused_is_erased_while_a_daemon_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Vault(path, keep_days=1.0) as daemon:
        hide(daemon.conversation("old"), NAME)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 2 * 24 * 3600)
        daemon.conversation("new")
        assert [one.name for one in daemon.conversations()] == ["new"]
