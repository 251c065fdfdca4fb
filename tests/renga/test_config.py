"""The config: what is read, and the one line said about what is not right."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from renga.config import Config, load
from renga.errors import UsageError

GOOD = """\
name = "small"
rounds = 3

[host]
model = "big"
tokens = 500

[edge]
model = "little"
rank = 4

[[clients]]
name = "ada"
data = "ada/train.jsonl"
held_out = "ada/held_out.jsonl"

[[clients]]
name = "bo"
data = "/far/train.jsonl"
held_out = "bo/held_out.jsonl"
rank = 2
coding = "float32"

[transfer]
data = ["public.jsonl"]
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_clients_have_the_edge_settings_with_their_own_over_them(write: Write) -> None:
    ada, bo = load(write(GOOD)).clients
    assert (ada.edge.rank, bo.edge.rank) == (4, 2)
    assert (ada.edge.coding, bo.edge.coding) == ("blocks8", "float32")
    assert bo.edge.model == "little"


def test_paths_start_at_the_config(write: Write) -> None:
    path = write(GOOD)
    config = load(path)
    assert config.clients[0].data == path.parent / "ada/train.jsonl"
    assert config.clients[1].data == Path("/far/train.jsonl")
    assert config.transfer.data == (path.parent / "public.jsonl",)


def test_whole_numbers_stand_for_rates(write: Write) -> None:
    assert load(write(GOOD + "temperature = 2\n")).transfer.temperature == 2.0


def test_a_dumped_config_is_read_back_the_same(write: Write) -> None:
    config = load(write(GOOD))
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_a_config_cannot_be_changed(write: Write) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(write(GOOD)).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("rank = 4", "rnak = 4", 10, "unknown key 'edge.rnak'", "did you mean 'rank'?"),
        ("rank = 2", "rnak = 2", 21, "unknown key 'clients[1].rnak'", "did you mean 'rank'?"),
        ("rounds = 3", "ruonds = 3", 2, "unknown key 'ruonds'", "did you mean 'rounds'?"),
        ("[transfer]", "[tranfser]", 24, "unknown key 'tranfser'", "did you mean 'transfer'?"),
        ("rank = 4", "rank = 0", 10, "edge.rank = 0: must be greater than or equal to 1", ""),
        ("rank = 2", "rank = 0", 21, "clients[1].rank = 0: must be greater than or equal to 1", ""),
        (
            'data = ["public.jsonl"]',
            "top_k = 255",
            25,
            "transfer.top_k = 255: must be less than or equal to 254",
            "",
        ),
        ("rank = 4", 'rank = "4"', 10, "edge.rank = '4': must be a whole number", ""),
        ("rank = 4", "rank = true", 10, "edge.rank = True: must be a whole number", ""),
        ("rank = 4", "alpha = nan", 10, "edge.alpha = nan: must be a finite number", ""),
        ("rank = 4", "rank = = 4", 10, "not TOML: invalid value", ""),
        ('"float32"', '"float33"', 22, "clients[1].coding = 'float33': must be 'blocks8', ", ""),
        ('"small"', '"Small Run"', 1, "name = 'Small Run': only lower-case letters, digits, _ and -", ""),
        ('"small"', '"../up"', 1, "name = '../up': only lower-case letters, digits, _ and -", ""),
        ('model = "big"\n', "", 4, "missing key 'host.model'", "docs/config.md lists every key"),
        ('name = "bo"\n', "", 17, "missing key 'clients[1].name'", "docs/config.md lists every key"),
        ('"bo"', '"ada"', 0, "two clients are named 'ada'; names must differ", ""),
        ('"bo"', '"host"', 0, "a client is named 'host', which is what the server's model is called", ""),
        ('["public.jsonl"]', '"public.jsonl"', 25, "transfer.data = 'public.jsonl': must be a list", ""),
    ],
)
def test_one_line_on_what_is_wrong_and_where(
    write: Write, old: str, new: str, line: int, message: str, hint: str
) -> None:
    assert GOOD.count(old) == 1
    path = write(GOOD.replace(old, new))
    with pytest.raises(UsageError) as raised:
        load(path)
    where = f"{path}:{line}: " if line else f"{path}: "
    assert raised.value.message.startswith(where + message)
    assert "\n" not in raised.value.message
    assert raised.value.hint == hint


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[round]\nquorum = 3\n", "round.quorum = 3, but there are 2 clients"),
        ('[[faults]]\nclient = "eve"\nround = 1\nkind = "drop"\n', "faults name the client 'eve'"),
        ('[[faults]]\nclient = "bo"\nround = 4\nkind = "drop"\n', "a fault is set for round 4 of 3"),
    ],
)
def test_parts_must_agree(write: Write, more: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"run\.toml: ") as raised:
        load(write(GOOD + more))
    assert message in raised.value.message


def test_a_mistake_in_edge_is_told_once(write: Write) -> None:
    with pytest.raises(UsageError) as raised:
        load(write(GOOD.replace("rank = 4", "rank = -1")))
    assert "more)" not in raised.value.message


def test_missing_config_names_a_near_one(write: Write) -> None:
    path = write(GOOD)
    with pytest.raises(UsageError, match="no config at") as raised:
        load(path.with_name("rum.toml"))
    assert raised.value.hint == f"did you mean {str(path)!r}?"


def test_a_folder_and_binary_are_no_configs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not a config"):
        load(tmp_path)
    binary = tmp_path / "x.toml"
    binary.write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match="not UTF-8 text"):
        load(binary)


def test_an_empty_config_asks_for_what_it_needs(write: Write) -> None:
    with pytest.raises(UsageError, match=r"missing key 'name' \(and 3 more\)"):
        load(write(""))


def test_the_example_here_is_the_whole_of_what_is_required() -> None:
    assert set(tomllib.loads(GOOD)) >= {
        name for name, field in Config.model_fields.items() if field.is_required()
    }
