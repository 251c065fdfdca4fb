"""Keys in files, invitations in a line, certificates that say who: what is refused, what is never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from renga.errors import RefusedPayload, UsageError
from renga.protocol.certificates import (
    SERVER_NAME,
    Identity,
    Role,
    identity_of,
    issue,
    key_of_request,
    new_authority,
    new_key,
    request_for,
)
from renga.protocol.credentials import Credentials, load_credentials, peer_certificate, save_credentials
from renga.protocol.invitations import INVITE, OPERATOR, Ticket, read_ticket, write_ticket
from renga.protocol.key_files import PASSPHRASE, key_pem, open_pem, read_tls_key, write_secret
from renga.protocol.names import check_name

AUTHORITY = new_authority()


@pytest.fixture
def credentials() -> Credentials:
    key = new_key()
    own = issue(AUTHORITY, key.public_key(), Identity(Role.CLIENT, "ada"), days=1)
    return Credentials(AUTHORITY.certificate, own, key, Ed25519PrivateKey.generate())


class TestKeyFiles:
    def test_only_the_owner_reads_them(self, tmp_path: Path, credentials: Credentials) -> None:
        previous = os.umask(0)
        try:
            save_credentials(tmp_path / "keys", credentials)
        finally:
            os.umask(previous)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
        assert modes == {0o600} and stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
        assert load_credentials(tmp_path / "keys").identity == Identity(Role.CLIENT, "ada")

    def test_what_others_can_read_is_refused(self, tmp_path: Path, credentials: Credentials) -> None:
        save_credentials(tmp_path, credentials)
        (tmp_path / "key.pem").chmod(0o640)
        with pytest.raises(UsageError, match="others"):
            load_credentials(tmp_path)

    def test_a_passphrase_locks_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        key = new_key()
        monkeypatch.setenv(PASSPHRASE, "correct horse")
        write_secret(tmp_path / "key.pem", key_pem(key))
        assert b"ENCRYPTED" in (tmp_path / "key.pem").read_bytes()
        assert read_tls_key(tmp_path / "key.pem").public_key() == key.public_key()
        for wrong in ("battery staple", ""):
            monkeypatch.setenv(PASSPHRASE, wrong)
            with pytest.raises(UsageError, match="can't be opened"):
                read_tls_key(tmp_path / "key.pem")

    def test_another_kind_or_rubbish(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        write_secret(path, key_pem(Ed25519PrivateKey.generate()))
        with pytest.raises(UsageError, match="no key for TLS"):
            read_tls_key(path)
        write_secret(path, b"rubbish")
        with pytest.raises(UsageError, match="can't be opened"):
            read_tls_key(path)

    def test_nothing_of_a_key_is_shown(self, credentials: Credentials) -> None:
        secret = str(credentials.key.private_numbers().private_value)
        assert secret not in repr(credentials) and "key" not in repr(credentials)
        ticket = Ticket("h:1", "ada", "", "", open_pem(credentials.key).decode(), 0.0)
        assert "PRIVATE" not in f"{ticket} {ticket!r}"


class TestInvitations:
    TICKET = Ticket("server:9443", "ada", "authority", "certificate", "SECRET", 5.0)

    def test_a_line_is_read_however_a_terminal_wrapped_it(self) -> None:
        line = write_ticket(self.TICKET)
        assert "\n" not in line and read_ticket(line) == self.TICKET
        assert read_ticket(line[:40] + "\n  " + line[40:] + "\n") == self.TICKET

    @pytest.mark.parametrize("cut", [1, 13, 30, -5])
    def test_a_damaged_one_is_refused_and_not_repeated(self, cut: int) -> None:
        line = write_ticket(self.TICKET)[:cut]
        with pytest.raises(UsageError) as caught:
            read_ticket(line)
        assert line[len(INVITE) :] == "" or line[len(INVITE) :] not in str(caught.value)

    def test_each_kind_is_for_its_own_use(self) -> None:
        with pytest.raises(UsageError, match="operator token"):
            read_ticket(write_ticket(self.TICKET), OPERATOR)


class TestCertificates:
    def test_they_say_who_and_for_what(self) -> None:
        for role in Role:
            own = issue(AUTHORITY, new_key().public_key(), Identity(role, "ada"), days=1, hosts=["::1", "h"])
            assert identity_of(own) == Identity(role, "ada")
            own.verify_directly_issued_by(AUTHORITY.certificate)
            named = SERVER_NAME.encode() in own.public_bytes(Encoding.DER)
            assert named == (role is Role.SERVER)  # no client can pass for the server

    def test_an_authority_says_nothing_of_a_holder(self) -> None:
        with pytest.raises(RefusedPayload, match="nothing of its holder"):
            identity_of(AUTHORITY.certificate)

    def test_a_request_proves_its_key(self) -> None:
        key = new_key()
        request = request_for(key, "ada")
        assert key_of_request(request) == key.public_key()
        with pytest.raises(RefusedPayload):
            key_of_request(request[:-1] + bytes([request[-1] ^ 1]))
        with pytest.raises(RefusedPayload):
            key_of_request(b"rubbish")

    @pytest.mark.parametrize("kind", ["rsa", "p384"])
    def test_another_kind_of_key_is_refused(self, kind: str) -> None:
        weak = (
            rsa.generate_private_key(65537, 2048)
            if kind == "rsa"
            else ec.generate_private_key(ec.SECP384R1())
        )
        with pytest.raises(RefusedPayload, match="P-256"):
            key_of_request(request_for(weak, "ada"))  # type: ignore[arg-type]

    def test_a_call_without_a_certificate(self) -> None:
        with pytest.raises(RefusedPayload, match="no certificate"):
            peer_certificate({})


@pytest.mark.parametrize(
    "name", ["", "Ada", "../x", "a b", "a:b", "a\n", "x" * 65, "-a", "é", "server", "operator"]
)
def test_names_that_will_not_do(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "clinic_a", "x" * 64, "0-1"])
def test_names_that_will(name: str) -> None:
    check_name(name)
