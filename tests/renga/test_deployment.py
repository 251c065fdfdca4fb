"""The configs of a server and a client: file, environment, options; and what is told about a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from renga.deployment import ClientConfig, ServerConfig, check_format, read_deployment, shown
from renga.errors import UsageError

SERVER = """
[host]
model = "gemma-3-270m"

[listen]
port = 1000
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_options_hold_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, SERVER)
    variables = {"RENGA_SERVER__LISTEN__PORT": "2000", "RENGA_CLIENT__EDGE__RANK": "4"}
    assert read_deployment(ServerConfig, path, {}, {}).listen.port == 1000
    assert read_deployment(ServerConfig, path, {"listen.port": None}, variables).listen.port == 2000
    assert read_deployment(ServerConfig, path, {"listen.port": 3000}, variables).listen.port == 3000


def test_variables_hold_lists_numbers_and_text(tmp_path: Path) -> None:
    variables = {
        "RENGA_CLIENT__EDGE__MODEL": "SmolLM2-135M-Instruct",
        "RENGA_CLIENT__EDGE__RANK": "4",
        "RENGA_CLIENT__WEIGHT": "2.5",
    }
    read = read_deployment(ClientConfig, None, {}, variables)
    assert (read.edge.model, read.edge.rank, read.weight) == ("SmolLM2-135M-Instruct", 4, 2.5)
    names = {"RENGA_SERVER__LISTEN__NAMES": '["a.example", "b.example"]'}
    server = read_deployment(ServerConfig, written(tmp_path, SERVER), {}, names)
    assert server.listen.names == ("a.example", "b.example")


def test_what_is_printed_says_the_same(tmp_path: Path) -> None:
    read = read_deployment(ServerConfig, written(tmp_path, SERVER), {}, {})
    again = read_deployment(ServerConfig, written(tmp_path, shown(read)), {}, {})
    assert again == read
    assert tomllib.loads(shown(read))["listen"]["port"] == 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SERVER + "prot = 1", "listen.prot"),
        ("colour = 1\n" + SERVER, "colour"),
        (SERVER.replace("1000", "70000"), "listen.port"),
        ("[listen]\nport = 1000", "host"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_deployment(ServerConfig, written(tmp_path, text), {}, {})
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_missing_model_names_the_option() -> None:
    with pytest.raises(UsageError) as caught:
        read_deployment(ClientConfig, None, {}, {})
    assert "--model" in (caught.value.hint or "")


@pytest.mark.parametrize("fleet", ["nonsense", "https://here:1", ":1", "here:0", "here:port"])
def test_where_a_superlink_is_must_be_a_place(fleet: str) -> None:
    with pytest.raises(UsageError, match=f"fleet = '{fleet}': must be HOST:PORT"):
        read_deployment(ClientConfig, None, {"edge.model": "m", "fleet": fleet}, {})
    assert read_deployment(ClientConfig, None, {"edge.model": "m", "fleet": "[::1]:9"}, {}).fleet == "[::1]:9"


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    for _ in range(2):
        check_format(tmp_path, 1)
    for text in ('{"format": 2}', "{}", "[]", "?"):
        (tmp_path / "format.json").write_text(text)
        with pytest.raises(UsageError, match="another version"):
            check_format(tmp_path, 1)


def test_every_key_is_described() -> None:
    for kind in (ServerConfig, ClientConfig):
        for name, field in kind.model_fields.items():
            assert field.description or name in ("listen", "transfer", "round"), name
