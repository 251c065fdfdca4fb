"""The server's own identity: made once, kept, made anew before it runs out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from renga.client.enrolment import bootstrap_credentials
from renga.errors import RefusedPayload, UsageError
from renga.protocol.certificates import Role, issue
from renga.protocol.credentials import save_credentials
from renga.protocol.invitations import OPERATOR, read_ticket
from renga.protocol.key_files import certificate_pem, write_secret
from renga.server import identity
from renga.server.identity import ServerIdentity, operator_token, rotate_operator


@pytest.fixture
def who(tmp_path: Path) -> ServerIdentity:
    return identity.create(tmp_path, "localhost:9443", ["server.example", "10.0.0.1"])


def test_it_is_kept(who: ServerIdentity) -> None:
    kept = identity.load(who.folder)
    assert kept.federation == who.federation and kept.credentials.certificate == who.credentials.certificate


def test_a_certificate_that_runs_out_is_made_anew_for_the_same_hosts(who: ServerIdentity) -> None:
    own = who.credentials
    hosts = ["server.example", "10.0.0.1"]
    old = issue(who.authority, own.key.public_key(), own.identity, days=0.001, hosts=hosts)
    save_credentials(who.folder / "identity", replace(own, certificate=old))
    new = identity.load(who.folder).credentials
    assert new.certificate.not_valid_after_utc > old.not_valid_after_utc
    assert new.key.public_key() == new.certificate.public_key() == own.key.public_key()
    assert str(new.certificate.extensions[3].value) == str(old.extensions[3].value)  # where it is reached
    assert identity.load(who.folder).credentials.certificate == new.certificate


def test_another_operators_token_ends_the_old_one(who: ServerIdentity) -> None:
    old = bootstrap_credentials(read_ticket(operator_token(who.folder), OPERATOR))
    rotate_operator(who)
    new = bootstrap_credentials(read_ticket(operator_token(who.folder), OPERATOR))
    assert who.registry.known(new.certificate).role is Role.OPERATOR
    with pytest.raises(RefusedPayload, match="revoked"):
        who.registry.known(old.certificate)


def test_keys_of_two_federations_are_not_mixed(who: ServerIdentity, tmp_path: Path) -> None:
    other = identity.create(tmp_path / "other", "localhost:1", [])
    write_secret(who.folder / "identity" / "ca.pem", certificate_pem(other.authority.certificate))
    with pytest.raises(UsageError, match="two federations"):
        identity.load(who.folder)


def test_nobody_has_begun_here(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the state of a server"):
        identity.load(tmp_path / "empty")


@pytest.mark.parametrize("name", ["operator", "server", "../x", "Ada"])
def test_some_names_are_not_invited(who: ServerIdentity, name: str) -> None:
    with pytest.raises(UsageError):
        who.invite(name, "localhost:1")
