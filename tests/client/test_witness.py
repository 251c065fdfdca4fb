"""A server that shows one client something else than the others, or something older, is found out by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from renga.client.witness import Witness
from renga.errors import RefusedPayload, UsageError
from renga.protocol import link_pb2 as wire
from renga.protocol.adapter_codec import DecodedAdapter
from renga.protocol.published import opened, publish, showing
from tests.server.link_world import world
from tests.server.test_link import doubling

KEY = Ed25519PrivateKey.generate()


def adapter(seed: int, rank: int = 2) -> DecodedAdapter:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((rank, 5), (7, rank)))
    return DecodedAdapter({"layers.0.q": (a, b)}, rank, 4.0, "a" * 64, {"who": str(seed)})


def links(*shown: dict[str, str], key: Ed25519PrivateKey = KEY) -> list[wire.Published]:
    made: list[wire.Published] = []
    for round, listed in enumerate(shown, 1):
        last = opened(key.public_key(), made[-1]) if made else None
        made.append(publish(key, round, listed, last))
    return made


def judged(attempt: int, *adapters: DecodedAdapter) -> dict[str, str]:
    return dict(showing("judge", attempt, one) for one in adapters)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "published.json", KEY.public_key())


def test_what_all_were_shown_is_gone_on_from(witness: Witness, tmp_path: Path) -> None:
    witness.note("judge", (1, 1), adapter(0))
    with pytest.raises(RefusedPayload, match="not published"):
        witness.vouch((1, 1))
    first, second = links(judged(1, adapter(0), adapter(5, rank=3)), judged(1, adapter(1)))
    again = Witness(tmp_path / "published.json", KEY.public_key())  # after a restart
    for one in (witness, again):
        one.follow(first)
        one.vouch((1, 1))
        one.vouch(None)
    again.follow(first)  # told twice
    again.note("judge", (2, 1), adapter(1))
    again.follow(second)
    assert Witness(tmp_path / "published.json", KEY.public_key()).round == 2


def test_another_adapter_than_the_others_got_is_refused(witness: Witness) -> None:
    witness.note("judge", (1, 1), adapter(9))  # the same rank, alpha and layers, other numbers
    with pytest.raises(RefusedPayload, match="another adapter than it published"):
        witness.follow(links(judged(1, adapter(0)))[0])
    with pytest.raises(RefusedPayload, match="not published"):
        witness.vouch((1, 1))


def test_an_adapter_that_no_link_names_is_refused(witness: Witness) -> None:
    witness.note("judge", (1, 1), adapter(0, rank=3))
    with pytest.raises(RefusedPayload, match="another adapter"):
        witness.follow(links(judged(1, adapter(0)))[0])


def test_an_attempt_that_was_broken_off_is_no_alarm(witness: Witness) -> None:
    witness.note("judge", (1, 1), adapter(9))
    witness.follow(links(judged(2, adapter(0)))[0])


def test_older_and_other_histories_are_refused(witness: Witness) -> None:
    made = links(*(judged(1, adapter(n)) for n in range(3)))
    for link in made:
        witness.follow(link)
    witness.welcomed(made[2])
    with pytest.raises(RefusedPayload, match="published round 3 before"):
        witness.welcomed(made[1])
    with pytest.raises(RefusedPayload, match="published round 3 before"):
        witness.welcomed(wire.Published())
    with pytest.raises(RefusedPayload):
        witness.follow(links(*(judged(1, adapter(n + 5)) for n in range(4)))[3])
    with pytest.raises(RefusedPayload, match="signature"):
        witness.follow(links({}, {}, {}, {}, key=Ed25519PrivateKey.generate())[3])


def test_a_file_that_was_altered_is_told(tmp_path: Path) -> None:
    for text in ("", "[]", '{"published": "ff", "shown": {}}', '{"published": "zz", "shown": {}}'):
        (tmp_path / "published.json").write_text(text)
        with pytest.raises(UsageError, match="not what was written"):
            Witness(tmp_path / "published.json", KEY.public_key())


def test_over_the_link(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        key = here.who.credentials.signing
        assert key is not None
        first, second, third = links({}, {}, {}, key=key)
        here.post.publish(first)
        credentials = here.enrolled("ada")
        link = here.link("ada", doubling(), credentials)
        link.witness = Witness(here.folder / "ada" / "published.json", key.public_key())
        here.attach(link)
        here.wait_for(lambda: link.witness.round == 1)
        here.detach("ada")
        here.post.publish(second)
        here.attach(link)
        here.wait_for(lambda: link.witness.round == 2)
        here.post.publish(third)
        here.wait_for(lambda: link.witness.round == 3)
        here.detach("ada")
        here.post._chain = [first]  # the state came from an old backup
        with pytest.raises(UsageError, match="published round 3 before"):
            here.loop.do(link.stay())
