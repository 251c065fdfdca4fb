"""The key of a vault: from a passphrase (Argon2id), the system's keyring, or a file that only its owner
reads.

What is kept in the vault is the master key, sealed with the key that one of these gives; so a passphrase can
be changed without touching what is sealed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from renga.errors import RengaError, UsageError
from renga.protocol.key_files import PASSPHRASE, read_secret, write_secret

KEYRING = "RENGA_KEYRING"  # set it to keep a new vault's key in the system's keyring
SERVICE = "renga-vault"
NONCE = 12

# RFC 9106's second recommendation: 64 MiB, three passes, four lanes; about 0.2 s.
MEMORY, PASSES, LANES = 64 << 10, 3, 4
MOST_MEMORY = 4 << 20  # KiB; a damaged vault must not take all there is


class WrongKey(RengaError):
    """What is sealed can't be opened with this key."""


@dataclass(frozen=True, repr=False)
class Seal:
    """One key, and what it seals. Never printed."""

    key: bytes

    @classmethod
    def drawn(cls) -> Seal:
        return cls(os.urandom(32))

    def shut(self, plain: bytes, purpose: str) -> bytes:
        """Nonce and ciphertext; opened for the same `purpose` only."""
        nonce = os.urandom(NONCE)
        return nonce + ChaCha20Poly1305(self.key).encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Raises WrongKey, without a word of what is inside."""
        try:
            return ChaCha20Poly1305(self.key).decrypt(sealed[:NONCE], sealed[NONCE:], purpose.encode())
        except (InvalidTag, ValueError):
            raise WrongKey("the vault can't be opened: another key, or damaged") from None

    def name(self, of: str) -> bytes:
        """A name that says nothing to who lacks the key, the same for the same thing."""
        return hmac.new(self.key, b"name\0" + of.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


@dataclass(frozen=True)
class Lock:
    """How a vault's master key is sealed: "passphrase", "keyring" or "file"; not secret. cost: of Argon2id,
    as KiB, passes and lanes."""

    how: str
    salt: bytes
    sealed: bytes
    cost: tuple[int, int, int]

    def written(self) -> str:
        coded = {"salt": base64.b64encode(self.salt), "sealed": base64.b64encode(self.sealed)}
        texts = {name: text.decode() for name, text in coded.items()}
        return json.dumps({"how": self.how, **texts, "cost": self.cost})

    @classmethod
    def read(cls, text: str) -> Lock:
        """Raises WrongKey for what is no lock."""
        try:
            found: dict[str, Any] = json.loads(text)
            memory, passes, lanes = (int(number) for number in found["cost"])
            if not (0 < memory <= MOST_MEMORY and 0 < passes <= 100 and 0 < lanes <= 64):
                raise ValueError("no one would choose this")
            salt, sealed = base64.b64decode(found["salt"]), base64.b64decode(found["sealed"])
            return cls(str(found["how"]), salt, sealed, (memory, passes, lanes))
        except (ValueError, KeyError, TypeError):
            raise WrongKey("the vault is damaged: its lock can't be read") from None


def new_lock(path: Path, passphrase: str | None) -> tuple[Lock, Seal]:
    """A new master key for the vault at `path`, and its lock: the passphrase if there is one, the keyring if
    it is wanted, else a key file beside it. The file is only `settled` when the lock is in the vault: until
    then the old one opens it."""
    how = "passphrase" if passphrase else "keyring" if os.environ.get(KEYRING) else "file"
    salt, master = os.urandom(16), Seal.drawn()
    key = from_passphrase(passphrase, salt) if passphrase else Seal.drawn()
    if how == "file":
        write_secret(_next_key_file(path), base64.b64encode(key.key) + b"\n")
    elif how == "keyring":
        _keyring().set_password(SERVICE, salt.hex(), base64.b64encode(key.key).decode())
    return Lock(how, salt, key.shut(master.key, "master"), cost()), master


def settled(path: Path) -> None:
    """After a new lock is in the vault: its key file takes the old one's place."""
    with contextlib.suppress(FileNotFoundError):  # there is none, or another process saw to it
        os.replace(_next_key_file(path), key_file(path))


def unlocked(lock: Lock, path: Path) -> Seal:
    """The master key. Raises WrongKey, or UsageError if the key can't be had."""
    try:
        return _unlocked(lock, path)
    except (WrongKey, UsageError):
        if lock.how != "file":
            raise
        if not _next_key_file(path).exists():  # it may just have taken its place
            return _unlocked(lock, path)
        seal = Seal(_read_key(_next_key_file(path)).open(lock.sealed, "master"))
        settled(path)  # who made it was stopped in between
        return seal


def _unlocked(lock: Lock, path: Path) -> Seal:
    if lock.how == "passphrase":
        if not os.environ.get(PASSPHRASE):
            raise UsageError(f"{path} is locked with a passphrase", hint=f"set {PASSPHRASE}")
        key = from_passphrase(os.environ[PASSPHRASE], lock.salt, lock.cost)
        hint = f"is {PASSPHRASE} the one it was made with?"
    elif lock.how == "keyring":
        found = _keyring().get_password(SERVICE, lock.salt.hex())
        if found is None:
            raise UsageError(f"the keyring does not hold the key of {path}", hint="is it another user's?")
        key, hint = Seal(base64.b64decode(found)), "the keyring holds another key"
    elif lock.how == "file":
        try:
            key = _read_key(key_file(path))
        except UsageError as error:
            what = "without its key file a vault can't be opened; restore it from where you keep copies"
            raise UsageError(error.message, hint=error.hint or what) from None
        hint = f"{key_file(path)} is not the key it was made with"
    else:
        raise RengaError(
            f"{path} is locked in a way this version does not know: {lock.how[:20]!r}",
            hint="it was made by a newer Renga",
        )
    try:
        return Seal(key.open(lock.sealed, "master"))
    except WrongKey:
        raise WrongKey(f"{path} can't be opened with this key", hint=hint) from None


def from_passphrase(passphrase: str, salt: bytes, spent: tuple[int, int, int] | None = None) -> Seal:
    """Argon2id (RFC 9106). spent: KiB, passes, lanes."""
    memory, passes, lanes = spent or cost()
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    return Seal(kdf.derive(passphrase.encode("utf-8", "surrogateescape")))


def key_file(path: Path) -> Path:
    """Beside the vault."""
    return path.with_name(path.name + ".key")


def _next_key_file(path: Path) -> Path:
    return path.with_name(path.name + ".key.next")


def _read_key(path: Path) -> Seal:
    """Raises UsageError."""
    try:
        return Seal(base64.b64decode(read_secret(path), validate=False))
    except ValueError:
        return Seal(b"")


def cost() -> tuple[int, int, int]:
    """What Argon2id spends on a new lock."""
    return MEMORY, PASSES, LANES


def _keyring() -> Any:
    try:
        import keyring
        from keyring.errors import KeyringError

        keyring.get_password(SERVICE, "is it there?")
    except ModuleNotFoundError:
        raise UsageError("the keyring needs a package", hint="pip install 'renga[keyring]'") from None
    except KeyringError as error:
        raise RengaError(f"the system's keyring is not there: {type(error).__name__}") from None
    return keyring
