"""A round is on the disk whole, or it is not there."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from renga.client.witness import Witness
from renga.errors import RefusedPayload, RengaError
from renga.models.adapter import Adapter
from renga.protocol import link_pb2 as wire
from renga.server import identity
from renga.server.state import LARGE, ServerState, Standing
from renga.serving import publish_what_stands
from tests.server.scripted import BASE, OTHER_BASE, adapter


def standing(round: int) -> Standing:
    return Standing(
        round=round,
        host=adapter(f"host {round}", base="c" * 64),
        adapters={BASE: adapter(f"one {round}"), OTHER_BASE: adapter(f"two {round}", 3, 1.5, OTHER_BASE)},
        adopted={BASE: (round, 1), OTHER_BASE: (1, 2)},
        since={"ada": (round, 1), "bo": (1, 1)},
        holds={"ada": (round, 1)},
    )


def same(one: Standing, other: Standing) -> bool:
    def plain(x: Standing) -> Any:
        adapters = {"host": x.host, **x.adapters}
        factors = {name: plainly(a) for name, a in adapters.items() if a is not None}
        return x.round, factors, dict(x.adopted), dict(x.since), dict(x.holds)

    def plainly(a: Adapter) -> Any:
        return a.rank, a.alpha, a.base, {p: (f.a.tobytes(), f.b.tobytes()) for p, f in a.factors.items()}

    return bool(plain(one) == plain(other))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_before_the_first_round_there_is_nothing(tmp_path: Path) -> None:
    state = ServerState(tmp_path)
    assert same(state.standing(), Standing())
    assert state.records() == []


def test_what_is_finished_comes_back_exactly_in_another_process(tmp_path: Path) -> None:
    for round in (1, 2):
        ServerState(tmp_path).finish(standing(round), {"said": round})
    again = ServerState(tmp_path)
    assert same(again.standing(), standing(2))
    assert again.records() == [{"said": 1}, {"said": 2}]


def test_a_host_that_never_learned_is_none_again(tmp_path: Path) -> None:
    ServerState(tmp_path).finish(Standing(round=1), {})
    assert ServerState(tmp_path).standing().host is None


def test_attempts_count_on_over_processes(tmp_path: Path) -> None:
    assert [ServerState(tmp_path).begin(1) for _ in range(3)] == [1, 2, 3]
    assert ServerState(tmp_path).begin(2) == 1


class Killed(BaseException):
    """Stands for a kill: nothing that Renga catches."""


DURABLE = ("fsync", "rename", "replace", "mkdir")


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> list[str]:
    """Raise `error` in place of the `number`-th durable call; the calls made so far."""
    calls: list[str] = []

    def wrapped(name: str) -> Any:
        call = getattr(os, name)

        def stopping(*args: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                raise error
            return call(*args, **options)

        return stopping

    for name in DURABLE:
        monkeypatch.setattr(os, name, wrapped(name))
    return calls


def calls_of_a_finish(folder: Path) -> int:
    state = ServerState(folder)
    with pytest.MonkeyPatch.context() as patch:
        calls = stop_at(patch, 0, Killed())
        state.finish(standing(1), {})
        return len(calls)


def test_a_finish_cut_short_anywhere_leaves_the_earlier_rounds_whole(tmp_path: Path) -> None:
    count = calls_of_a_finish(tmp_path / "counted")
    assert count > 5
    for number in range(1, count + 1):
        folder = tmp_path / str(number)
        ServerState(folder).finish(standing(1), {"said": 1})
        before = tree(folder)
        state = ServerState(folder)
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, number, Killed())
            with pytest.raises(Killed):
                state.finish(standing(2), {"said": 2})
        again = ServerState(folder)
        happened = same(again.standing(), standing(2))
        assert happened or same(again.standing(), standing(1))
        assert {name: data for name, data in tree(folder).items() if name in before} == before
        assert not list(folder.rglob("*.new")), "a leftover stays"
        if not happened:
            assert tree(folder) == before
            again.finish(standing(2), {"said": 2})
        assert same(ServerState(folder).standing(), standing(2))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_is_told_and_the_earlier_rounds_stay_whole(
    tmp_path: Path, code: int
) -> None:
    count = calls_of_a_finish(tmp_path / "counted")
    for number in range(1, count):  # the last call syncs what has already happened
        folder = tmp_path / str(number)
        ServerState(folder).finish(standing(1), {"said": 1})
        before = tree(folder)
        state = ServerState(folder)
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, number, OSError(code, os.strerror(code)))
            with pytest.raises(RengaError) as caught:
                state.finish(standing(2), {"said": 2})
        assert os.strerror(code) in caught.value.message and "round 2" in caught.value.message
        assert "--resume" in caught.value.hint
        assert caught.value.exit_status == 1
        assert tree(folder) == before and same(state.standing(), standing(1))
        assert not list(folder.rglob("*.new"))
        state.finish(standing(2), {"said": 2})  # the same process goes on when there is room again
        assert same(state.standing(), standing(2))


def test_a_full_disk_at_the_beginning_of_a_round_is_told(tmp_path: Path) -> None:
    state = ServerState(tmp_path)
    state.begin(1)
    before = tree(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 1, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(RengaError, match="No space left") as caught:
            state.begin(1)
    assert "--resume" in caught.value.hint
    assert tree(tmp_path) == before
    assert state.begin(1) == 2


def test_leftovers_of_a_killed_process_are_removed_and_not_read(tmp_path: Path) -> None:
    ServerState(tmp_path).finish(standing(1), {"said": 1})
    half = tmp_path / "rounds" / "0002.new"
    half.mkdir()
    (half / "host.adapter").write_bytes(b"half of")
    (tmp_path / "attempts.new").write_text('{"2": ')
    state = ServerState(tmp_path)
    assert not half.exists()
    assert same(state.standing(), standing(1))
    assert state.begin(2) == 1
    assert not (tmp_path / "attempts.new").exists()


def test_a_round_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    ServerState(tmp_path).finish(standing(1), {})
    path = tmp_path / "rounds" / "0001" / f"{BASE}.adapter"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RengaError):
        ServerState(tmp_path).standing()
    about = tmp_path / "rounds" / "0001" / "round.json"
    path.unlink()
    about.write_text(json.dumps({"round": 1}))
    with pytest.raises(RengaError, match="round.json"):
        ServerState(tmp_path).standing()
    about.write_text("{")
    with pytest.raises(RengaError, match="round.json"):
        ServerState(tmp_path).records()


def test_what_is_set_aside_is_the_same_and_leaves_no_file(tmp_path: Path) -> None:
    state = ServerState(tmp_path)
    for size in (3, LARGE, LARGE + 1):
        blob = np.random.default_rng(size).integers(0, 256, size, np.uint8)
        kept = state.set_aside(blob)
        assert np.array_equal(kept, blob) and (kept is blob) == (size < LARGE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_is_told_when_something_is_set_aside(tmp_path: Path) -> None:
    state = ServerState(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, before[1]))
    try:
        with pytest.raises(RengaError, match="can't write what a client sent") as caught:
            state.set_aside(np.zeros(LARGE, np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "File too large" in caught.value.message and "make room" in caught.value.hint


def test_a_round_that_was_played_elsewhere_is_published_when_it_comes_home(tmp_path: Path) -> None:
    who = identity.create(tmp_path / "server", "localhost:0", ["localhost"])
    state = ServerState(tmp_path)
    publish_what_stands(who, state)
    assert state.published() == []  # nothing stands yet
    signing = who.credentials.signing
    assert signing is not None
    witness = Witness(tmp_path / "published.json", signing.public_key())
    for round in (1, 3):  # the second follows the first, though round 2 lies between
        state.finish(standing(round), {})
        with pytest.raises(RefusedPayload, match="was not published"):
            witness.vouch((round, 1))
        for _ in range(2):  # and once
            publish_what_stands(who, state)
        witness.follow(wire.Published.FromString(state.published()[-1]))
        witness.vouch((round, 1))
    assert len(ServerState(tmp_path).published()) == 2
