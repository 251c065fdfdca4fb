"""The command line as a person meets it: help, results on stdout, one clear line for whatever is wrong."""

from __future__ import annotations

import errno
import fcntl
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.main import get_command

from renga.boundary import enter
from renga.cli import app, run
from tests.tiny_federation import texts, write_federation, write_texts

HEAVY = ("torch", "transformers", "flwr", "peft", "numpy", "pydantic", "safetensors")
BENCHES = [f"bench {what}" for what in ("ensemble", "learning", "wire", "memory", "transfer", "cooperation")]
BENCHES += [f"bench {what}" for what in ("sanitisation", "merging", "link", "serving", "edge")]
BENCHES += [f"bench {what}" for what in ("carriers", "private-answers", "private-rewriting")]
KEYS = [f"keys {verb}" for verb in ("invite", "list", "revoke", "rotate")]
BETWEEN_MACHINES = ["serve", "join", "train", "status", "ledger", *KEYS]  # at work: test_federation.py
COOPERATION = ["index", "review", "train-attribute", "train-soft"]  # at work: test_cooperation_commands.py
MODELS = ["models list", "models fetch", "models show"]
VAULT = [f"vault {verb}" for verb in ("list", "erase", "export", "import", "relock")]
PRIVATE = ["sanitise", "restore", "chat", *VAULT]  # at work: test_sanitise_commands.py
PLANS = [
    "plan check",
    "plan list",
    "plan fit",
    "plan feedback",
    "train-router",
    "train-reward",
    "train-scorer",
    "train-ranker",
]
COMMANDS = [
    "simulate",
    "check",
    "ask",
    "eval",
    "merge",
    *PLANS,
    *BENCHES,
    *COOPERATION,
    *MODELS,
    *PRIVATE,
    *BETWEEN_MACHINES,
]


class Said(NamedTuple):
    status: int
    out: str
    err: str


Renga = Callable[..., Said]


@pytest.fixture
def renga(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renga:
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def renga(*arguments: object) -> Said:
        capsys.readouterr()  # what made the test's files may have talked
        status = enter([str(argument) for argument in arguments], run)
        out, err = capsys.readouterr()
        return Said(status, re.sub(r"\x1b\[[0-9;]*m", "", out), err)

    return renga


def refused(said: Said, status: int, *parts: str) -> None:
    """One line on what is wrong, at most one on what to do, nothing on stdout."""
    assert said.status == status, said
    assert said.err.startswith("renga: "), said
    assert said.err.count("\n") <= 2
    assert said.out == ""
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "renga", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_simulation_on_ray_without_ray_is_a_line_before_anything_dear(
    renga: Renga, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    config = write_federation(tmp_path)
    refused(
        renga("simulate", config, "--carrier", "ray"), 2, "Ray is not installed", "pip install 'renga[ray]'"
    )
    assert not (tmp_path / "runs").exists()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, contextlib\n"
        "from renga.cli import run\n"
        "run(['--help'])\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_loads_little() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "renga", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.count("import time:") < 300  # a tenth of a second; torch alone is a thousand


def test_python_dash_m_is_the_command() -> None:
    done = in_a_process("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"renga \d+\.\d+\.\d+\n", done.stdout)


def test_alone_it_shows_what_there_is(renga: Renga) -> None:
    said = renga()
    assert (said.status, said.out) == (2, "")
    assert all(command.split()[0] in said.err for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_example(renga: Renga, command: str) -> None:
    said = renga(*command.split(), "--help")
    assert said.status == 0
    assert f"Example: renga {command} " in " ".join(said.out.split()) + " "
    assert "--debug" in said.out


def test_every_command_is_tested_here() -> None:
    def names(group: object, before: str = "") -> set[str]:
        commands: dict[str, object] = getattr(group, "commands", {})
        if not commands:
            return {before.strip()}
        return {name for key, inner in commands.items() for name in names(inner, f"{before} {key}")}

    assert names(get_command(app)) == set(COMMANDS)


def test_typing_mistakes(renga: Renga) -> None:
    refused(renga("simulat", "x.toml"), 2, "no such command 'simulat'", ": did you mean 'simulate'?")
    refused(renga("simulate"), 2, "missing argument 'CONFIG'", "renga simulate --help")
    refused(renga("models"), 2, "missing command", "renga models --help")
    refused(renga("eval", "--daat", "x"), 2, "no such option '--daat'", "'--data'")
    refused(renga("ask", "hello", "--temperature", "-1"), 2, "--temperature")
    refused(renga("ask", " "), 2, "the prompt is empty")
    refused(renga("bench", "wires"), 2, "no such command 'wires'", "'wire'")


@pytest.mark.parametrize("command", ["simulate", "check"])
class TestConfigs:
    def test_missing(self, renga: Renga, command: str) -> None:
        refused(renga(command, "none.toml"), 2, "no config at none.toml")

    def test_not_toml(self, renga: Renga, command: str, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_text("name = = 3")
        refused(renga(command, "x.toml"), 2, "x.toml:1: not TOML")

    def test_a_key_with_a_typo(self, renga: Renga, command: str, tmp_path: Path) -> None:
        path = write_federation(tmp_path)
        path.write_text(path.read_text().replace("rank = 2", "rnak = 2"))
        refused(renga(command, path), 2, "tiny.toml:12: unknown key 'edge.rnak'", "did you mean 'rank'?")

    def test_a_rank_of_zero(self, renga: Renga, command: str, tmp_path: Path) -> None:
        path = write_federation(tmp_path)
        path.write_text(path.read_text().replace("rank = 2", "rank = 0"))
        refused(renga(command, path), 2, "edge.rank = 0: must be greater than or equal to 1")


def test_check_prints_a_table_or_json(renga: Renga, tmp_path: Path) -> None:
    path = write_federation(tmp_path)
    said = renga("check", path)
    assert (said.status, said.err) == (0, "")
    assert "ada" in said.out and "memory" in said.out
    report = json.loads(renga("check", path, "--json").out)
    assert report["problems"] == []
    assert report["memory_bytes"] > 0


def test_check_tells_each_problem_in_a_line(renga: Renga, tmp_path: Path) -> None:
    path = write_federation(tmp_path)
    (tmp_path / "ada_held_out.jsonl").write_text("")
    (tmp_path / "bo.jsonl").write_text('{"prompt": "Q", "response": "R"}\n{"prompt"\n')
    said = renga("check", path)
    assert said.status == 2
    assert [line.split(" (")[0].rpartition("/")[2] for line in said.err.splitlines()] == [
        "ada_held_out.jsonl: no texts in it",
        "bo.jsonl:2: not JSON: expecting ':' delimiter",
    ]


class TestModels:
    """What is wrong with a model or its name shows the same in every command that loads one."""

    @pytest.fixture(params=["ask", "eval", "models show"])
    def load(self, request: pytest.FixtureRequest, renga: Renga, tmp_path: Path) -> Renga:
        write_texts(tmp_path / "data.jsonl", texts("x", 2))
        arguments = {
            "ask": lambda model: ["ask", "hello", "--model", model],
            "eval": lambda model: ["eval", "--data", "data.jsonl", "--model", model],
            "models show": lambda model: ["models", "show", model],
        }[request.param]
        return lambda model: renga(*arguments(model))

    def test_unknown(self, load: Renga) -> None:
        refused(load("gema-3-270m"), 2, "no model 'gema-3-270m'", "did you mean 'gemma-3-270m'?")

    def test_missing_file(self, load: Renga) -> None:
        refused(load("none.gguf"), 2, "no file none.gguf")

    def test_missing_package(self, load: Renga) -> None:
        refused(load("package:no_such_package/model.gguf"), 1, "no_such_package", "install")

    def test_truncated(self, load: Renga, tmp_path: Path) -> None:
        from tests.models.tiny_models import llama, write_gguf

        whole = write_gguf(tmp_path / "whole.gguf", llama())
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(whole.read_bytes()[:-1000])
        refused(load(cut), 1, "cut.gguf")
        cut.write_bytes(b"GGUF")
        refused(load(cut), 1, "cut.gguf")

    def test_folder_without_a_model(self, load: Renga, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        refused(load("./empty"), 1, "empty")


def test_ask_streams_the_answer_to_stdout(renga: Renga, tmp_path: Path) -> None:
    model = write_federation(tmp_path).parent / "model"
    arguments = ["--model", model, "--max-tokens", 5, "--temperature", 1]
    said = renga("ask", "hello", *arguments, "--seed", 3)
    assert (said.status, said.err) == (0, "")
    assert said.out.endswith("\n")
    assert renga("ask", "hello", *arguments, "--seed", 3).out == said.out
    assert len({renga("ask", "hello", *arguments, "--seed", seed).out for seed in range(4)}) > 1


def test_ask_with_an_adapter(renga: Renga, tmp_path: Path) -> None:
    from renga.models.adapter_files import save_peft
    from renga.models.weights import SharedWeights

    model = write_federation(tmp_path).parent / "model"
    adapter = SharedWeights.load(str(model)).fresh_adapter(2, 4.0, "all", 0)
    save_peft(adapter, tmp_path / "adapter", str(model))
    plain = renga("ask", "hello", "--model", model, "--max-tokens", 5)
    assert renga("ask", "hello", "--model", model, "--max-tokens", 5, "--adapter", "adapter") == plain
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"cut")
    refused(renga("ask", "hello", "--model", model, "--adapter", "adapter"), 1, "adapter")


def test_eval_measures(renga: Renga, tmp_path: Path) -> None:
    model = write_federation(tmp_path).parent / "model"
    said = renga("eval", "--model", model, "--data", "ada.jsonl", "--json")
    assert (said.status, said.err) == (0, "")
    scores = json.loads(said.out)
    assert scores["texts"] == 12
    assert scores["bits_per_byte"] > 0
    plain = renga("eval", "--model", model, "--data", "ada.jsonl").out
    assert f"{scores['bits_per_byte']:.4f}" in plain


def test_eval_refuses_what_cannot_be_measured(renga: Renga, tmp_path: Path) -> None:
    (tmp_path / "bare.jsonl").write_text('{"prompt": "Q"}\n')
    refused(renga("eval", "--data", "bare.jsonl"), 2, "1 of 1 lines have no response")
    (tmp_path / "bad.jsonl").write_text('{"prompt": "Q", "response": "R"}\n{"prompt": \n')
    refused(
        renga("eval", "--data", "bad.jsonl"), 2, "bad.jsonl:2: not JSON", '{"prompt": "…", "response": "…"}'
    )
    refused(renga("eval", "--data", "none.jsonl"), 2, "none.jsonl: no such file")


def test_models_list_knows_the_embedded_ones(renga: Renga) -> None:
    names = {row["name"] for row in json.loads(renga("models", "list", "--json").out)}
    assert names == {"SmolLM2-135M-Instruct", "gemma-3-270m"}
    assert "SmolLM2-135M-Instruct" in renga("models", "list").out


def test_interrupted_is_told_and_has_its_status() -> None:
    command = [sys.executable, "-m", "renga", "ask", "-"]  # waits for stdin
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have had SIGINT ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "renga: interrupted\n")


class TestSimulate:
    """What stops a run before it began: told in a line, with nothing left behind."""

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("ada.jsonl", "", "ada.jsonl: no texts in it"),
            ("ada_held_out.jsonl", "", "ada_held_out.jsonl: no texts in it"),
            ("public.jsonl", '{"prompt": "Q"', "public.jsonl:1: not JSON"),
            ("validation.jsonl", '{"prompt": "Q"}', "validation.jsonl"),
        ],
    )
    def test_bad_data(self, renga: Renga, tmp_path: Path, file: str, content: str, message: str) -> None:
        path = write_federation(tmp_path)
        (tmp_path / file).write_text(content)
        refused(renga("simulate", path), 2, message)
        assert not (tmp_path / "runs").exists()

    def test_a_folder_in_use(self, renga: Renga, tmp_path: Path) -> None:
        path = write_federation(tmp_path)
        (tmp_path / "busy").mkdir()
        with (tmp_path / "busy" / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            refused(renga("simulate", path, "--out", "busy"), 2, "busy is in use by another process", "--out")
        assert [file.name for file in (tmp_path / "busy").iterdir()] == [".lock"]

    def test_a_folder_that_holds_a_run(self, renga: Renga, tmp_path: Path) -> None:
        path = write_federation(tmp_path)
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "config.toml").write_text('name = "another"')
        refused(renga("simulate", path, "--out", "old"), 2, "old already holds a run", "--resume")
        refused(renga("simulate", path, "--out", "old", "--resume"), 2, "begun with another config")

    def test_no_space_left(self, renga: Renga, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "runs/tiny/config.toml")

        monkeypatch.setattr("os.replace", full)
        refused(renga("simulate", write_federation(tmp_path)), 1, "no space left on", "free some space")
