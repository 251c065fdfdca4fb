"""What leaves a client: as the policy says, noted first, in a file that is only ever added to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from renga.client.ledger import REVEALS, Ledger
from renga.client.outbox import ASKS, Outbox, Withheld
from renga.client.policy import Policy, read_policy
from renga.errors import RengaError, UsageError
from renga.models.contract import Clearance


def outbox(folder: Path, **policy: bool | int) -> Outbox:
    return Outbox("server:9443", Policy(**policy), Ledger(folder / "ledger.jsonl"))


def noted(folder: Path) -> list[str]:
    return [entry.kind for entry in Ledger(folder / "ledger.jsonl").entries()]


def test_every_kind_asks_the_policy_and_says_what_it_reveals() -> None:
    assert set(ASKS) == set(REVEALS)
    assert set(ASKS.values()) <= set(Policy.model_fields)


@pytest.mark.parametrize(("kind", "key"), ASKS.items())
def test_what_the_policy_withholds_is_neither_sent_nor_noted(tmp_path: Path, kind: str, key: str) -> None:
    with pytest.raises(Withheld):
        outbox(tmp_path, **{key: False}).release(kind, 1, 10)
    assert noted(tmp_path) == []
    outbox(tmp_path, **{key: True}).release(kind, 1, 10)
    assert noted(tmp_path) == [kind]


def test_an_unknown_kind_never_leaves(tmp_path: Path) -> None:
    with pytest.raises(Withheld):
        outbox(tmp_path).release("train.everything", 1, 10)


def test_a_raw_prompt_never_leaves(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    with pytest.raises(Withheld):
        box.release_prompt(Clearance.RAW, 10)
    box.release_prompt(Clearance.PUBLIC, 10)
    box.release_prompt(Clearance.SANITISED, 10)
    assert noted(tmp_path) == ["prompt", "prompt"]


def test_limits_hold_over_a_restart(tmp_path: Path) -> None:
    limits = {"largest_message": 60, "per_round": 100}
    with pytest.raises(Withheld):
        outbox(tmp_path, **limits).release("train.learn", 1, 61)
    outbox(tmp_path, **limits).release("train.learn", 1, 60)
    again = outbox(tmp_path, **limits)
    with pytest.raises(Withheld):
        again.release("train.exchange", 1, 41)
    again.release("train.exchange", 1, 40)
    again.release("train.learn", 2, 60)
    assert len(noted(tmp_path)) == 3


def test_a_line_cut_by_a_crash_harms_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    first = ledger.write("train.learn", "server", 1, 10, "ab")
    with open(tmp_path / "ledger.jsonl", "a", encoding="utf-8") as file:
        file.write('{"at": 1.0, "kind": "tra')
    second = ledger.write("train.exchange", "server", 1, 20)
    assert list(ledger.entries()) == [first, second]
    assert ledger.sent(1) == 30


def test_the_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.jsonl").write("prompt", "server", 0, 1)
    assert os.stat(tmp_path / "ledger.jsonl").st_mode & 0o077 == 0
    assert json.loads((tmp_path / "ledger.jsonl").read_text())["reveals"] == REVEALS["prompt"]


def test_what_can_not_be_noted_does_not_leave(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(RengaError):
        Outbox("server", Policy(), Ledger(tmp_path / "ledger.jsonl")).release("train.learn", 1, 10)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_policy(tmp_path / "policy.toml") == Policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lernt = true", "lernt"),
        ('learn = "no"', "learn"),
        ("per_round = -1", "per_round"),
        ("learn = ", "policy.toml"),
    ],
)
def test_a_wrong_policy_is_told_and_nothing_assumed(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_policy(path)
    assert said in caught.value.message
