"""Who is let in: invitations and certificates, as two processes see them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.protocol.certificates import Identity, Role, fingerprint, issue, new_authority, new_key
from renga.server.registry import Registry

AUTHORITY = new_authority()


def certificate(role: Role, name: str, days: float = 1.0):
    return issue(AUTHORITY, new_key().public_key(), Identity(role, name), days=days)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry.sqlite")


def enrolled(registry: Registry, name: str, signing: bytes = b"k" * 32):
    bootstrap, own = certificate(Role.BOOTSTRAP, name), certificate(Role.CLIENT, name)
    registry.invite(name, bootstrap)
    registry.redeem(bootstrap, name, b"request")
    registry.enrol(own, signing, bootstrap)
    return own


def test_a_server_killed_while_it_enrols_lets_the_same_request_in_again(registry: Registry) -> None:
    bootstrap = certificate(Role.BOOTSTRAP, "ada")
    registry.invite("ada", bootstrap)
    assert registry.redeem(bootstrap, "ada", b"request") is None  # and killed before it wrote the certificate
    with pytest.raises(RefusedPayload, match="used already"):
        registry.redeem(bootstrap, "ada", b"another")
    assert registry.redeem(bootstrap, "ada", b"request") is None


def test_what_was_issued_is_given_again(registry: Registry) -> None:
    bootstrap, own = certificate(Role.BOOTSTRAP, "ada"), certificate(Role.CLIENT, "ada")
    registry.invite("ada", bootstrap)
    registry.redeem(bootstrap, "ada", b"request")
    registry.enrol(own, b"k" * 32, bootstrap)
    again = registry.redeem(bootstrap, "ada", b"request")
    assert again == own.public_bytes(Encoding.DER)
    with pytest.raises(RefusedPayload, match="used already"):
        registry.redeem(bootstrap, "ada", b"another")


def test_a_second_invitation_withdraws_the_first(registry: Registry) -> None:
    first, second = certificate(Role.BOOTSTRAP, "ada"), certificate(Role.BOOTSTRAP, "ada")
    registry.invite("ada", first)
    registry.invite("ada", second)
    with pytest.raises(RefusedPayload, match="withdrawn"):
        registry.redeem(first, "ada", b"one")
    assert registry.redeem(second, "ada", b"two") is None


def test_one_name_is_enrolled_once_however_it_came(registry: Registry) -> None:
    bootstrap = certificate(Role.BOOTSTRAP, "ada")
    registry.invite("ada", bootstrap)
    registry.enrol(certificate(Role.CLIENT, "ada"), b"k" * 32)
    with pytest.raises(RefusedPayload, match="enrolled already"):
        registry.redeem(bootstrap, "ada", b"request")


def test_a_hundred_at_once_with_one_invitation_are_one(registry: Registry, tmp_path: Path) -> None:
    bootstrap = certificate(Role.BOOTSTRAP, "ada")
    registry.invite("ada", bootstrap)
    let_in: list[int] = []

    def one(number: int) -> None:
        try:
            Registry(tmp_path / "registry.sqlite").redeem(bootstrap, "ada", b"%d" % number)
            let_in.append(number)
        except RefusedPayload:
            pass

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 1


def test_an_invitation_that_expired_or_was_never_given(registry: Registry) -> None:
    late = certificate(Role.BOOTSTRAP, "ada", days=-0.001)
    registry.invite("ada", late)
    with pytest.raises(RefusedPayload, match="expired"):
        registry.redeem(late, "ada", b"request")
    with pytest.raises(RefusedPayload, match="never given"):
        registry.redeem(certificate(Role.BOOTSTRAP, "bo"), "bo", b"request")


def test_what_another_process_revokes_is_refused_at_the_next_call(registry: Registry, tmp_path: Path) -> None:
    own = enrolled(registry, "ada")
    assert registry.known(own).name == "ada" and registry.signing_keys("ada") == [b"k" * 32]
    assert Registry(tmp_path / "registry.sqlite").revoke("ada") == 1
    with pytest.raises(RefusedPayload, match="revoked"):
        registry.known(own)
    assert registry.signing_keys("ada") == []
    assert registry.revoke("ada") == 0


def test_revoking_withdraws_what_is_not_yet_used(registry: Registry) -> None:
    bootstrap = certificate(Role.BOOTSTRAP, "ada")
    registry.invite("ada", bootstrap)
    registry.redeem(bootstrap, "ada", b"request")  # half of an enrolment
    registry.revoke("ada")
    with pytest.raises(RefusedPayload, match="withdrawn"):
        registry.redeem(bootstrap, "ada", b"request")


def test_rotation_leaves_both_a_while_and_then_one(registry: Registry) -> None:
    old = enrolled(registry, "ada", b"1" * 32)
    new = certificate(Role.CLIENT, "ada")
    registry.enrol(new, b"2" * 32)
    registry.rotate("ada", fingerprint(new), overlap=60)
    assert registry.known(old) and registry.known(new)
    assert registry.signing_keys("ada") == [b"2" * 32, b"1" * 32]
    registry.rotate("ada", fingerprint(new), overlap=-1)
    with pytest.raises(RefusedPayload, match="revoked"):
        registry.known(old)
    assert registry.signing_keys("ada") == [b"2" * 32]


def test_a_taken_name_and_a_damaged_file(registry: Registry, tmp_path: Path) -> None:
    enrolled(registry, "ada")
    with pytest.raises(UsageError, match="enrolled already"):
        registry.invite("ada", certificate(Role.BOOTSTRAP, "ada"))
    (tmp_path / "registry.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(RengaError, match="can't use"):
        registry.everybody()
