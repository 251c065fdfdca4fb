"""Who may take part: what clients say of themselves is checked before a round begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from flwr.app import Context

from renga.client.app import client_app
from renga.client.member import Member
from renga.errors import RengaError
from renga.models.example import Example
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.local_carrier import LocalGrid, run_server, server_context
from renga.protocol.messages import Description
from renga.server.app import server_app
from renga.server.host import Host
from renga.server.plan import Settings
from renga.server.state import ServerState
from renga.server.strategy import Federation, Timing, Told
from tests.server.scripted import TRANSFER, VOCABULARY, Scripted


@dataclass
class Describing:
    name: str
    change: Callable[[Description], Description]

    def describe(self) -> Description:
        return self.change(replace(Scripted(self.name).description(), transfer="the set"))


def fails(_: Description) -> Description:
    raise ValueError("a line of private text")


ODD = {**Scripted("odd").description().shapes, "layers.1.q": (6, 9)}
CLAIMS: dict[str, tuple[Callable[[Description], Description], str]] = {
    "ann": (lambda d: d, ""),
    "ben": (lambda d: d, ""),
    "liar": (lambda d: replace(d, name="ann"), "liar: says it is 'ann'"),
    "other-set": (
        lambda d: replace(d, transfer="x"),
        "other-set: holds another transfer set than the server",
    ),
    "other-words": (
        lambda d: replace(d, vocabulary="x"),
        "other-words: its vocabulary is not that of a model",
    ),
    "odd": (
        lambda d: replace(d, shapes=ODD),
        "odd: says that layers.1.q is (6, 9), others of its base (6, 8)",
    ),
    "climber": (lambda d: replace(d, base="../" * 21 + "x"), "climber: the base fingerprint is not a sha256"),
    "broken": (fails, "broken: [2] the client failed; its own log says why"),
}


class NoHost:
    adapter: Any = None


def federation_of(folder: Path, clients: list[str], **changes: Any) -> Federation:
    settings: dict[str, Any] = {
        "clients": lambda: clients,
        "rounds": 1,
        "seed": 1,
        "transfer": TRANSFER,
        "transfer_fingerprint": "the set",
        "slice_size": 0,
        "questions": 0,
        "settings": Settings(quorum=3),
        "timing": Timing(60.0, 1.0),
        "host": cast(Host, NoHost()),
        "vocabulary_of": lambda who: VOCABULARY,
        "state": ServerState(folder),
    }
    return Federation(**(settings | changes))


def test_texts_and_bare_prompts_take_turns_each_among_their_own(tmp_path: Path) -> None:
    transfer = [Example(f"{i}?", None if i % 4 else "yes") for i in range(40)]
    some = federation_of(tmp_path, [], transfer=transfer, slice_size=4, questions=12)
    seen = [some._slice(round) for round in range(1, 6)]
    for chosen in seen:
        assert chosen == sorted(set(chosen)) and sum(i % 4 == 0 for i in chosen) == 4 and len(chosen) == 16
    assert {i for chosen in seen[:3] for i in chosen} == set(range(40))
    assert federation_of(tmp_path, [], transfer=transfer)._slice(3) == list(range(40))


def test_one_who_never_shows_up_stops_nobody_while_the_quorum_is_there(tmp_path: Path) -> None:
    members = {name: Describing(name, lambda d: d) for name in ("ann", "ben")}

    def resolve(context: Context) -> Member:
        return cast(Member, members[str(context.node_config["name"])])

    grid = LocalGrid(client_app(resolve), {name: {} for name in members})
    names = ["ann", "ben", "never"]
    federation = federation_of(tmp_path, names, settings=Settings(quorum=2), timing=Timing(5.0, 0.1))
    with acting_as_server(1):
        described, silent = federation._describe(grid, 1)
    assert sorted(described) == ["ann", "ben"] and silent == {"never": "is not here"}
    all_needed = federation_of(tmp_path / "x", names, settings=Settings(quorum=3), timing=Timing(0.1, 0.1))
    with acting_as_server(1), pytest.raises(RengaError, match="2 of 3 clients are connected"):
        all_needed._describe(grid, 1)


def test_who_can_not_take_part_is_told_by_name_with_a_reason(tmp_path: Path) -> None:
    members = {name: Describing(name, change) for name, (change, _) in CLAIMS.items()}

    def resolve(context: Context) -> Member:
        return cast(Member, members[str(context.node_config["name"])])

    heard: list[Told] = []
    federation = federation_of(tmp_path, list(CLAIMS), listen=heard.append)
    grid = LocalGrid(client_app(resolve), {name: {} for name in members})
    with pytest.raises(RengaError) as caught:
        run_server(server_app(lambda context: federation), grid, server_context())
    said = caught.value.message
    assert said.startswith("2 of 8 clients can take part, 3 are needed: ")
    for _, reason in CLAIMS.values():
        assert reason in said
    assert "ann:" not in said and "private" not in said
    (left_out,) = heard
    assert left_out.what == "left_out" and set(left_out.about) == {n for n, (_, why) in CLAIMS.items() if why}
    assert ServerState(tmp_path).standing().round == 0
