"""The vault: conversations on disk, sealed, in one SQLite file.

Every conversation has a key of its own, sealed with the vault's; what it holds is sealed with that key, so
that to forget the key is to erase all of it. Nothing readable is ever written: not values, not surrogates,
not the conversations' names. What is added is one transaction: two daemons on one vault take turns and give
the same thing the same surrogate, and a full disk or a crash leaves what was there before.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from renga.client.sanitisation.conversation import Conversation, Home, Item, Pair, draw_shift
from renga.client.sanitisation.sealing import (
    Lock,
    Seal,
    WrongKey,
    cost,
    from_passphrase,
    new_lock,
    settled,
    unlocked,
)
from renga.client.sanitisation.tags import draw_suffix
from renga.errors import RengaError, UsageError
from renga.protocol.key_files import PASSPHRASE

VERSION = 1
HOUR = 3600.0
DAY = 24 * HOUR
PATIENCE = 20.0  # seconds to wait for another process's transaction
VAULT = "RENGA_VAULT"

_SCHEMA = """
CREATE TABLE lock (written TEXT NOT NULL);
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, sealed BLOB NOT NULL, used REAL NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
    sealed BLOB NOT NULL);
CREATE TABLE threads (
    name BLOB PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE);
CREATE INDEX items_of ON items(conversation, id);
"""


@dataclass(frozen=True)
class Summary:
    """A conversation in the vault: its name, when it was last used (Unix seconds), and what it holds."""

    name: str
    used: float
    counts: dict[str, int]


def default_vault() -> Path:
    """Where a person's vault is: `RENGA_VAULT`, or under `XDG_STATE_HOME` (`~/.local/state`)."""
    if named := os.environ.get(VAULT):
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "renga" / "vault.db"


class Vault:
    """One file; made when it is first written to. Raises UsageError, WrongKey or RengaError for one that
    can't be opened, and changes nothing then."""

    def __init__(self, path: Path, keep_days: float = 30.0) -> None:
        self.path = path
        self.keep_days = keep_days
        self._expired = 0.0
        self._lock = ""
        self._turn = threading.RLock()
        self._deep = 0
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._file = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            for pragma in ("foreign_keys=ON", "secure_delete=ON", "synchronous=FULL", "temp_store=MEMORY"):
                self._file.execute(f"PRAGMA {pragma}")
        try:
            self._unlocked = self._unlock()
            self._forget_the_old()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def conversation(self, name: str) -> SealedConversation:
        """The conversation of this name, begun if there is none."""
        self._forget_the_old()
        with self.writing():
            row = self._one("SELECT id, sealed FROM conversations WHERE name=?", self._seal().name(name))
            if row is not None:
                id, sealed = row
                now = time.time()
                self._do("UPDATE conversations SET used=? WHERE id=? AND used<?", now, id, now - HOUR)
                found = json.loads(self._seal().open(sealed, "conversation"))
            else:
                found = {
                    "name": name,
                    "key": _text(os.urandom(32)),
                    "suffix": draw_suffix(),
                    "shift": draw_shift(),
                }
                id = self._begun(name, found)
        return SealedConversation(self, id, found)

    def has(self, name: str) -> bool:
        return self._one("SELECT 1 FROM conversations WHERE name=?", self._seal().name(name)) is not None

    def conversations(self) -> list[Summary]:
        """All of them, the last used first."""
        rows = self._all("SELECT id, sealed, used FROM conversations ORDER BY used DESC")
        found = []
        for id, sealed, used in rows:
            facts = json.loads(self._seal().open(sealed, "conversation"))
            one = SealedConversation(self, id, facts)
            counts: dict[str, int] = {}
            for pair in one.pairs:
                counts[pair.kind] = counts.get(pair.kind, 0) + 1
            found.append(Summary(facts["name"], used, counts))
        return found

    def erase(self, name: str) -> bool:
        """Erase a conversation: its key is overwritten, and with it everything it sealed. False: none
        such."""
        with self.writing():
            return self._do("DELETE FROM conversations WHERE name=?", self._seal().name(name)).rowcount > 0

    def expire(self, before: float) -> int:
        """Erase what was last used before a moment (Unix seconds); how many."""
        if self._one("SELECT 1 FROM conversations WHERE used<?", before) is None:
            return 0
        with self.writing():
            return self._do("DELETE FROM conversations WHERE used<?", before).rowcount

    def export(self, name: str, passphrase: str) -> bytes:
        """A conversation, sealed with a passphrase, for another vault to take. Raises UsageError."""
        if not self.has(name):
            raise UsageError(f"there is no conversation {name!r}")
        one = self.conversation(name)
        salt = os.urandom(16)
        facts = {
            "name": one.name,
            "suffix": one.suffix,
            "shift": one.shift,
            "items": [_coded(item) for item in one.items()],
            "turns": one.turns(),
        }
        sealed = from_passphrase(passphrase, salt).shut(json.dumps(facts).encode(), "export")
        lock = json.loads(Lock("export", salt, sealed, cost()).written())
        return json.dumps({"renga-vault": VERSION, **lock}).encode()

    def take(self, exported: bytes, passphrase: str) -> str:
        """The other end of `export`; the conversation's name. Raises UsageError, WrongKey, RengaError."""
        try:
            found = json.loads(exported)
            version, lock = int(found["renga-vault"]), Lock.read(exported.decode())
        except (ValueError, KeyError, TypeError, WrongKey):
            raise UsageError("this is no exported conversation") from None
        if version > VERSION:
            raise RengaError("the export is from a newer Renga", hint="update this one")
        try:
            seal = from_passphrase(passphrase, lock.salt, lock.cost)
            facts = json.loads(seal.open(lock.sealed, "export"))
        except WrongKey:
            raise WrongKey("the export can't be opened with this passphrase") from None
        if self.has(facts["name"]):
            raise UsageError(f"there is a conversation {facts['name']!r} already", hint="erase it first")
        with self.writing():
            head = {name: facts[name] for name in ("name", "suffix", "shift")}
            head["key"] = _text(os.urandom(32))
            id = self._begun(facts["name"], head)
            one = SealedConversation(self, id, head)
            with one.changing():
                for item in facts["items"]:
                    one.add(_decoded(item))
            for turn in facts["turns"]:
                one.note(turn)
        return str(facts["name"])

    def relock(
        self, passphrase: str | None, decided: Callable[[Callable[[str], str]], None] = lambda seal: None
    ) -> None:
        """Seal the vault with a new key, locked as a new vault's would be: with `passphrase` if there is
        one. decided: called with what seals the values in the rules' file anew, before anything is
        final."""
        with self.writing():
            lock, fresh = new_lock(self.path, passphrase)
            for id, sealed in self._all("SELECT id, sealed FROM conversations"):
                plain = self._seal().open(sealed, "conversation")
                name = json.loads(plain)["name"]
                self._do(
                    "UPDATE conversations SET sealed=?, name=? WHERE id=?",
                    fresh.shut(plain, "conversation"), fresh.name(name), id,
                )  # fmt: skip
            self._do("DELETE FROM threads")
            self._do("UPDATE lock SET written=?", lock.written())
            decided(lambda value: _decision(fresh, value))
        self._lock, self._unlocked = lock.written(), fresh
        settled(self.path)

    def follow(self, thread: str) -> SealedConversation | None:
        """The conversation that was left at this point (see `leave`)."""
        row = self._one(
            "SELECT c.sealed FROM threads t JOIN conversations c ON c.id=t.conversation WHERE t.name=?",
            self._seal().name("thread\0" + thread),
        )
        if row is None:
            return None
        return self.conversation(json.loads(self._seal().open(row[0], "conversation"))["name"])

    def leave(self, thread: str, conversation: SealedConversation) -> None:
        """Remember by what a caller who sends everything again shows that it goes on with a conversation."""
        with self.writing():
            self._do(
                "INSERT OR REPLACE INTO threads VALUES (?, ?)",
                self._seal().name("thread\0" + thread), conversation.id,
            )  # fmt: skip

    def seal_value(self, value: str) -> str:
        """A decision's value, to be written into the rules' file."""
        return _decision(self._seal(), value)

    def open_value(self, sealed: str) -> str:
        """Raises WrongKey if it was sealed by another vault, or altered."""
        try:
            return self._seal().open(_bytes(sealed), "decision").decode("utf-8", "surrogatepass")
        except (ValueError, WrongKey):
            raise WrongKey(
                "a value in sanitisation.toml was not sealed by this vault",
                hint="take its [[always]] out there, and decide on it again",
            ) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, for this thread alone among all processes; nothing is changed if it fails."""
        with self._turn, self._told():
            if self._deep:
                yield
                return
            self._file.execute("BEGIN IMMEDIATE")
            self._deep = 1
            try:
                yield
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
            finally:
                self._deep = 0

    def _seal(self) -> Seal:
        """The vault's key as it is now: another process may have given it a new one. Raises WrongKey or
        UsageError if that can't be had."""
        (written,) = self._one("SELECT written FROM lock")
        if written != self._lock:
            self._unlocked, self._lock = unlocked(Lock.read(written), self.path), written
        return self._unlocked

    def _forget_the_old(self) -> None:
        """Every hour: a daemon lives longer than what it keeps."""
        now = time.time()
        if now - self._expired > HOUR:
            self._expired = now
            self.expire(now - self.keep_days * DAY)

    def _begun(self, name: str, facts: dict[str, Any]) -> int:
        sealed = self._seal().shut(json.dumps(facts).encode(), "conversation")
        done = self._do(
            "INSERT INTO conversations (name, sealed, used) VALUES (?, ?, ?)",
            self._seal().name(name), sealed, time.time(),
        )  # fmt: skip
        assert done.lastrowid is not None
        return done.lastrowid

    def _unlock(self) -> Seal:
        with self._told():
            (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise RengaError(
                f"{self.path} was made by a newer Renga (version {version}, this one knows {VERSION})",
                hint="update this one; nothing was changed",
            )
        if version == 0:
            with self.writing():
                (version,) = self._file.execute("PRAGMA user_version").fetchone()
                if version == 0:  # nobody made it while we waited
                    lock, _ = new_lock(self.path, os.environ.get(PASSPHRASE))
                    for statement in _SCHEMA.split(";"):
                        self._file.execute(statement)
                    self._do("INSERT INTO lock VALUES (?)", lock.written())
                    self._file.execute(f"PRAGMA user_version={VERSION}")
            if version == 0:
                settled(self.path)
        row = self._one("SELECT written FROM lock")
        if row is None:
            raise WrongKey(f"{self.path} is damaged: it has no lock")
        self._lock = row[0]
        return unlocked(Lock.read(row[0]), self.path)

    def _do(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._file.execute(statement, values)

    def _one(self, statement: str, *values: Any) -> Any:
        with self._turn, self._told():
            return self._file.execute(statement, values).fetchone()

    def _all(self, statement: str, *values: Any) -> list[Any]:
        with self._turn, self._told():
            return self._file.execute(statement, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors, as a person can act on them; values are never in them."""
        try:
            yield
        except sqlite3.Error as error:
            said = str(error)
            if "full" in said or "I/O" in said:
                problem, hint = "there is no room for it on the disk", "nothing was sent or lost; make room"
            elif isinstance(error, sqlite3.IntegrityError):
                problem, hint = "the conversation was erased meanwhile", "begin a new one"
            elif "locked" in said or "busy" in said:
                problem, hint = "another process keeps it busy", "try again"
            elif "readonly" in said or "unable to open" in said:
                problem, hint = "it can't be written", "whose file is it?"
            elif any(word in said for word in ("not a database", "malformed", "decode", "no such table")):
                problem, hint = "it is no vault, or damaged", "move it away; a new one is made"
            else:
                problem, hint = f"SQLite says: {type(error).__name__}", ""
            raise RengaError(f"the vault {self.path}: {problem}", hint=hint) from None
        except OSError as error:
            raise RengaError(
                f"the vault {self.path}: {(error.strerror or '').lower()}",
                hint="nothing was sent; give it a place that you can write to: RENGA_VAULT or --vault",
            ) from None


class SealedConversation(Conversation):
    """A conversation in a vault: the same, and what others add to it is seen before anything is added."""

    def __init__(self, vault: Vault, id: int, facts: dict[str, Any]) -> None:
        super().__init__(facts["suffix"], facts["shift"])
        self.id = id
        self.name: str = facts["name"]
        self._vault = vault
        self._key = Seal(_bytes(facts["key"]))
        self._seen = 0
        self._turns: list[dict[str, Any]] = []
        self.refresh()

    @contextmanager
    def changing(self) -> Iterator[None]:
        self.refresh()
        try:
            with self._vault.writing():
                self.refresh()
                with super().changing():
                    yield
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Back to what the file holds: a transaction may fail at its very end."""
        self._forget()
        self._turns, self._seen = [], 0
        with contextlib.suppress(RengaError):
            self.refresh()

    def refresh(self) -> None:
        """Read what was added since."""
        rows = self._vault._all(
            "SELECT id, sealed FROM items WHERE conversation=? AND id>? ORDER BY id", self.id, self._seen
        )
        for id, sealed in rows:
            item = json.loads(self._key.open(sealed, "item"))
            self._seen = id
            if item["is"] == "turn":
                self._turns.append(item["turn"])
            else:
                self._take([_decoded(item)])

    def note(self, turn: dict[str, Any]) -> None:
        """Remember a turn of the conversation, as it left and as it came: with surrogates."""
        with self._vault.writing():
            self.refresh()
            self._write({"is": "turn", "turn": turn})
            self.refresh()

    def turns(self) -> list[dict[str, Any]]:
        """All turns that were noted."""
        self.refresh()
        return list(self._turns)

    def items(self) -> list[Item]:
        return [*self.pairs, *self._homes]

    def _keep(self, items: list[Item]) -> None:
        for item in items:
            self._seen = self._write(_coded(item))

    def _write(self, item: dict[str, Any]) -> int:
        sealed = self._key.shut(json.dumps(item).encode(), "item")
        done = self._vault._do("INSERT INTO items (conversation, sealed) VALUES (?, ?)", self.id, sealed)
        assert done.lastrowid is not None
        return done.lastrowid


def _coded(item: Item) -> dict[str, Any]:
    return {"is": "pair" if isinstance(item, Pair) else "home", **asdict(item)}


def _decoded(item: dict[str, Any]) -> Item:
    facts = {name: value for name, value in item.items() if name != "is"}
    return Pair(**facts) if item["is"] == "pair" else Home(**facts)


def _decision(seal: Seal, value: str) -> str:
    return _text(seal.shut(value.encode("utf-8", "surrogatepass"), "decision"))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
