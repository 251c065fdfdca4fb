"""Who may speak to this server: invitations, clients, revocations; in SQLite, so that `renga keys` and a
running server see the same.

Every question goes to the file: what one process writes holds for the other at its next call.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.protocol.certificates import Identity, Role, fingerprint, identity_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS invitations (
    certificate TEXT PRIMARY KEY,   -- fingerprint of the bootstrap certificate
    name TEXT NOT NULL,
    expires REAL NOT NULL,          -- Unix seconds
    request TEXT,                   -- sha256 of the enrolment request that used it up
    issued BLOB                     -- the certificate it got, DER: the same request may ask for it again
);
CREATE TABLE IF NOT EXISTS certificates (
    certificate TEXT PRIMARY KEY,   -- fingerprint
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    signing BLOB NOT NULL,          -- raw Ed25519 public key, empty for operators
    since REAL NOT NULL,
    until REAL NOT NULL,
    revoked REAL                    -- Unix seconds from which it is refused
);
"""


@dataclass(frozen=True)
class Known:
    """A certificate that was issued to a client or an operator."""

    role: Role
    name: str
    certificate: str
    signing: bytes
    since: float
    until: float
    revoked: float | None


class Registry:
    """The invitations and certificates of one federation, in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as database:
            for statement in SCHEMA.split(";"):
                database.execute(statement)

    def invite(self, name: str, bootstrap: x509.Certificate) -> None:
        """Note an invitation; an earlier one for the same name is withdrawn.

        Raises UsageError if the name is taken by a client that was not revoked.
        """
        with self._open() as database:
            if self._current(database, name):
                raise UsageError(
                    f"{name} is enrolled already", hint=f"renga keys revoke {name}, if it lost its keys"
                )
            database.execute("DELETE FROM invitations WHERE name = ? AND issued IS NULL", (name,))
            database.execute(
                "INSERT INTO invitations (certificate, name, expires) VALUES (?, ?, ?)",
                (fingerprint(bootstrap), name, bootstrap.not_valid_after_utc.timestamp()),
            )

    def redeem(self, bootstrap: x509.Certificate, name: str, request: bytes) -> bytes | None:
        """Use an invitation up for this very request; the certificate it got before, if it is asked again.

        Raises RefusedPayload for an invitation that is unknown, spent, expired, or for somebody else.
        """
        digest = hashlib.sha256(request).hexdigest()
        with self._open() as database:
            row = database.execute(
                "SELECT name, expires, request, issued FROM invitations WHERE certificate = ?",
                (fingerprint(bootstrap),),
            ).fetchone()
            if row is None:
                raise RefusedPayload("this invitation was never given, or withdrawn")
            invited, expires, used, issued = row
            if invited != name:
                raise RefusedPayload("this invitation is for another client")
            if used is not None and used != digest:
                raise RefusedPayload("this invitation was used already")
            if expires < time.time():
                raise RefusedPayload("this invitation has expired")
            if issued is None and self._current(database, name):
                raise RefusedPayload("a client of this name is enrolled already")
            database.execute(
                "UPDATE invitations SET request = ? WHERE certificate = ?", (digest, fingerprint(bootstrap))
            )
            return None if issued is None else bytes(issued)

    def enrol(
        self, certificate: x509.Certificate, signing: bytes, bootstrap: x509.Certificate | None = None
    ) -> None:
        """Note a certificate that was issued; a client's earlier ones hold a little longer (see `rotate`)."""
        who = identity_of(certificate)
        with self._open() as database:
            database.execute(
                "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (
                    fingerprint(certificate),
                    who.role.value,
                    who.name,
                    signing,
                    time.time(),
                    certificate.not_valid_after_utc.timestamp(),
                ),
            )
            if bootstrap is not None:
                database.execute(
                    "UPDATE invitations SET issued = ? WHERE certificate = ?",
                    (certificate.public_bytes(Encoding.DER), fingerprint(bootstrap)),
                )

    def rotate(self, name: str, keep: str, overlap: float, role: Role = Role.CLIENT) -> None:
        """After `overlap` seconds refuse all certificates of a holder but the one called `keep`."""
        with self._open() as database:
            database.execute(
                "UPDATE certificates SET revoked = ? WHERE name = ? AND role = ? AND certificate != ?"
                " AND (revoked IS NULL OR revoked > ?)",
                (time.time() + overlap, name, role.value, keep, time.time() + overlap),
            )

    def revoke(self, name: str) -> int:
        """Refuse a client from now on, and its open invitations; how many certificates that were."""
        now = time.time()
        with self._open() as database:
            database.execute("DELETE FROM invitations WHERE name = ? AND issued IS NULL", (name,))
            return database.execute(
                "UPDATE certificates SET revoked = ? WHERE name = ? AND (revoked IS NULL OR revoked > ?)",
                (now, name, now),
            ).rowcount

    def known(self, certificate: x509.Certificate) -> Known:
        """Who holds this certificate now. Raises RefusedPayload if nobody does, or no longer."""
        with self._open() as database:
            row = database.execute(
                "SELECT role, name, certificate, signing, since, until, revoked FROM certificates"
                " WHERE certificate = ?",
                (fingerprint(certificate),),
            ).fetchone()
        if row is None:
            raise RefusedPayload("this certificate was not issued by this server")
        found = _known(row)
        if found.revoked is not None and found.revoked <= time.time():
            raise RefusedPayload("this certificate was revoked")
        if Identity(found.role, found.name) != identity_of(certificate):
            raise RefusedPayload("this certificate was issued to somebody else")
        return found

    def signing_keys(self, name: str) -> list[bytes]:
        """Keys whose signatures count as a client's now, the newest first."""
        with self._open() as database:
            return [known.signing for known in self._current(database, name) if known.signing]

    def everybody(self) -> list[Known]:
        """All certificates, by name and age."""
        with self._open() as database:
            rows = database.execute(
                "SELECT role, name, certificate, signing, since, until, revoked FROM certificates"
                " ORDER BY name, since"
            ).fetchall()
        return [_known(row) for row in rows]

    def invitations(self) -> list[tuple[str, float]]:
        """Names and expiry of invitations nobody has used yet."""
        with self._open() as database:
            rows = database.execute(
                "SELECT name, expires FROM invitations WHERE request IS NULL AND expires > ? ORDER BY name",
                (time.time(),),
            )
            return [(str(name), float(expires)) for name, expires in rows]

    def _current(self, database: sqlite3.Connection, name: str) -> list[Known]:
        now = time.time()
        rows = database.execute(
            "SELECT role, name, certificate, signing, since, until, revoked FROM certificates"
            " WHERE name = ? AND role = 'client' AND (revoked IS NULL OR revoked > ?) AND until > ?"
            " ORDER BY since DESC",
            (name, now, now),
        )
        return [_known(row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self._path, timeout=10.0)
            try:
                with database:
                    database.execute("BEGIN IMMEDIATE")
                    yield database
            finally:
                database.close()
        except sqlite3.DatabaseError as error:
            raise RengaError(
                f"can't use {self._path}: {error}", hint="is the disk full, or the file damaged?"
            ) from error


def _known(row: tuple[str, str, str, bytes, float, float, float | None]) -> Known:
    role, name, certificate, signing, since, until, revoked = row
    return Known(Role(role), name, certificate, bytes(signing), since, until, revoked)
