"""A chain of rounds: nothing older, nothing different, nothing in between left out."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from renga.errors import RefusedPayload
from renga.protocol import link_pb2 as wire
from renga.protocol.published import Link, follow, opened, publish

KEY = Ed25519PrivateKey.generate()
SERVER = KEY.public_key()


def chain(rounds: int, salt: str = "0", key: Ed25519PrivateKey = KEY) -> list[Link]:
    links: list[Link] = []
    for round in range(1, rounds + 1):
        digest = f"{round:x}{salt}".ljust(64, "0")
        links.append(
            opened(key.public_key(), publish(key, round, {"c": digest}, links[-1] if links else None))
        )
    return links


def test_a_chain_is_followed_from_anywhere() -> None:
    links = chain(5)
    assert follow(None, links) == links[-1]
    for known in links:
        assert follow(known, links) == links[-1]
        assert follow(known, links[known.round :] or links[-1:]) == links[-1]


def test_an_older_round_is_refused() -> None:
    links = chain(5)
    for count in range(1, 4):
        with pytest.raises(RefusedPayload, match="older"):
            follow(links[4], links[:count])
    with pytest.raises(RefusedPayload, match="older"):
        follow(links[2], [])


def test_another_history_is_refused() -> None:
    mine, theirs = chain(3), chain(4, "f")
    for part in (theirs, theirs[2:], theirs[3:]):
        with pytest.raises(RefusedPayload):
            follow(mine[-1], part)
    with pytest.raises(RefusedPayload, match="another history"):
        follow(mine[-1], [*mine, theirs[3]])


def test_rounds_left_out_are_refused() -> None:
    links = chain(5)
    with pytest.raises(RefusedPayload):
        follow(links[1], links[3:])
    with pytest.raises(RefusedPayload):
        follow(None, [links[0], links[3]])


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2},
        {"previous": b"p" * 32},
        {"digest": b"d" * 32},
        {"adapters": b'{"c":"' + b"a" * 64 + b'"}'},
        {"signature": bytes(64)},
        {"signature": b"short"},
    ],
)
def test_what_was_altered_is_refused(change: dict[str, object]) -> None:
    message = publish(KEY, 1, {"c": "0" * 64}, None)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(RefusedPayload):
        opened(SERVER, message)


def test_another_server_publishes_nothing() -> None:
    message = publish(Ed25519PrivateKey.generate(), 1, {"c": "0" * 64}, None)
    with pytest.raises(RefusedPayload, match="signature"):
        opened(SERVER, message)


@pytest.mark.parametrize("adapters", [{"c": "../x"}, {"c": 1}, {"c": "A" * 64}])
def test_only_digests_are_listed(adapters: dict[str, str]) -> None:
    with pytest.raises(RefusedPayload, match="written"):
        opened(SERVER, publish(KEY, 1, adapters, None))


def test_an_empty_message_is_no_link() -> None:
    with pytest.raises(RefusedPayload):
        opened(SERVER, wire.Published())


def test_rounds_go_up() -> None:
    with pytest.raises(ValueError, match="not after"):
        publish(KEY, 1, {}, chain(1)[-1])
