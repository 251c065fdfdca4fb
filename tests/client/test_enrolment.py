"""Certificates that run out are renewed, and an interruption costs nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from renga.client.enrolment import renew, settle
from renga.errors import RengaError, UsageError
from renga.protocol.certificates import due
from renga.protocol.credentials import load_credentials
from tests.server.link_world import World, world


@pytest.fixture
def here(tmp_path: Path):
    with world(tmp_path) as made:
        yield made


def test_keys_and_certificate_are_new_and_good(here: World) -> None:
    old, folder = here.enrolled("ada"), here.folder / "ada"
    new = here.loop.do(renew(old, folder, here.address))
    assert new.identity == old.identity and new.certificate != old.certificate
    assert new.key.public_key() != old.key.public_key()
    kept = load_credentials(folder)
    assert kept.certificate == new.certificate and kept.key.public_key() == new.key.public_key()
    again = here.loop.do(renew(kept, folder, here.address))
    assert again.identity == old.identity


@pytest.mark.parametrize("moves", range(4))
def test_killed_while_files_change_places(here: World, monkeypatch, moves: int) -> None:
    old, folder = here.enrolled("ada"), here.folder / "ada"
    done: list[object] = []
    replace = os.replace

    def until(source: Path, target: Path) -> None:
        if Path(source).parent.name == "next" and not Path(source).name.startswith("."):
            if len(done) == moves:
                raise RuntimeError
            done.append(source)
        replace(source, target)

    monkeypatch.setattr("renga.client.enrolment.os.replace", until)
    with pytest.raises(RuntimeError):
        here.loop.do(renew(old, folder, here.address))
    monkeypatch.undo()
    settle(folder)
    kept = load_credentials(folder)
    assert kept.certificate != old.certificate
    assert kept.key.public_key() == kept.certificate.public_key()
    here.loop.do(renew(kept, folder, here.address))


def test_a_revoked_client_gets_no_new_certificate(here: World) -> None:
    old = here.enrolled("ada")
    here.who.registry.revoke("ada")
    with pytest.raises(UsageError, match="revoked"):
        here.loop.do(renew(old, here.folder / "ada", here.address))
    assert load_credentials(here.folder / "ada").certificate == old.certificate


def test_nobody_there_and_the_old_one_holds(here: World) -> None:
    old = here.enrolled("ada")
    with pytest.raises(RengaError, match="reached"):
        here.loop.do(renew(old, here.folder / "ada", "localhost:1"))
    assert load_credentials(here.folder / "ada").certificate == old.certificate


def test_it_is_due_in_the_last_third(here: World) -> None:
    own = here.enrolled("ada").certificate
    end = own.not_valid_after_utc.timestamp()
    assert not due(own) and not due(own, end - 31 * 86400) and due(own, end - 29 * 86400)
