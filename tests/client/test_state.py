"""What a client keeps is kept whole, by turn, and no longer than somebody may go on from it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from renga.client.state import ClientState
from renga.errors import RengaError
from renga.models.adapter import Adapter, Factors


def adapter(seed: int) -> Adapter:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5), (7, 2)))
    return Adapter({"layers.0.q": Factors(a, b)}, 4.0, 2, "a" * 64, {"who": "ada"})


def same(one: Adapter, other: Adapter) -> bool:
    pairs = [(one.factors[path], other.factors[path]) for path in one.factors]
    exact = all(x.a.tobytes() == y.a.tobytes() and x.b.tobytes() == y.b.tobytes() for x, y in pairs)
    return exact and (one.rank, one.alpha, one.base) == (other.rank, other.alpha, other.base)


def test_what_is_saved_comes_back_exactly_and_saving_again_replaces_it(tmp_path: Path) -> None:
    for seed in (1, 2):
        ClientState(tmp_path).save((3, 1), "kept", adapter(seed))
        assert same(ClientState(tmp_path).load((3, 1), "kept"), adapter(seed))
    assert ClientState(tmp_path).has((3, 1), "kept")
    assert not ClientState(tmp_path).has((3, 2), "kept")
    assert not ClientState(tmp_path).has((3, 1), "own")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RengaError, match="no adapter 'kept' of round 3"):
        ClientState(tmp_path).load((3, 1), "kept")


def test_only_the_wanted_turns_are_kept(tmp_path: Path) -> None:
    state = ClientState(tmp_path)
    turns = [(1, 1), (2, 1), (2, 2), (3, 100), (12345, 1)]
    for turn in turns:
        state.save(turn, "kept", adapter(0))
        (tmp_path / state._name(turn) / "own.new").write_bytes(b"half")  # as a kill leaves it
    (tmp_path / "failures.log").write_text("not a turn")
    state.forget({(2, 2), (9, 9)})
    assert [turn for turn in turns if state.has(turn, "kept")] == [(2, 2)]
    assert (tmp_path / "failures.log").exists()


@pytest.mark.parametrize("name", ["fsync", "replace", "mkdir"])
def test_a_full_disk_is_told_without_a_path_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    state = ClientState(tmp_path)
    state.save((1, 1), "kept", adapter(1))
    turn = (2, 1) if name == "mkdir" else (1, 1)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(RengaError, match="No space left on device") as caught:
            state.save(turn, "kept", adapter(2))
    assert str(tmp_path) not in caught.value.message + caught.value.hint
    assert same(state.load((1, 1), "kept"), adapter(1))
    assert not list(tmp_path.rglob("*.new"))
