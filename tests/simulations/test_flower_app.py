"""The bundle of `simulations/flower_app` on a SuperLink that knows nothing of Renga, as its README says."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from renga.client.ledger import Ledger
from renga.errors import RengaError
from renga.flower_apps import NODE_KEYS, RUN_KEYS, checked
from renga.protocol.flower_bundle import CLIENT_APP, SERVER_APP
from renga.protocol.flower_programs import (
    CONNECTION,
    FINISHED,
    Home,
    Program,
    answers,
    flwr,
    free_port,
    start,
    status,
    wait_until,
)
from renga.server.state import ServerState
from tests.renga.nursery import OF_TRANSFORMERS
from tests.renga.processes import CONFIG
from tests.tiny_federation import write_federation

BUNDLE = Path(__file__).parents[2] / "simulations" / "flower_app"
PROGRAMS = (
    *("flower-superlink", "flower-superexec", "flower-supernode", "flwr", "flwr-serverapp", "flwr-clientapp"),
    "renga.flower_standalone",  # so that torch is imported once, and not per message
    *OF_TRANSFORMERS,
)

CLIENT = """
public = ["public.jsonl"]
host = "{model}"
data = "ada.jsonl"
[edge]
model = "{model}"
rank = 2
tokens = 200
transfer_tokens = 100
"""


ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "renga":
            raise ModuleNotFoundError("No module named 'renga'", name="renga")

sys.meta_path.insert(0, Absent())
"""


class Bare(Home):
    """Where renga is not installed."""

    @property
    def environment(self) -> dict[str, str]:
        (self.folder / "sitecustomize.py").write_text(ABSENT)
        return {**super().environment, "PYTHONPATH": str(self.folder)}


class Stack:
    """Flower's own programs, and a copy of the bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "app"
        shutil.copytree(BUNDLE, self.app)
        write_federation(folder)
        model = folder / "model"
        server = CONFIG.format(model=model, quorum=1, deadline=600.0, grace=60.0)
        for name, text in (("server", server), ("client", CLIENT.format(model=model))):
            (folder / f"{name}.toml").write_text(text)
        self.home = Home(folder / "flower", PROGRAMS)
        self.bare = Bare(folder / "bare", ("flower-supernode", "flower-superexec", "flwr-clientapp"))

    def up(self) -> None:
        self.port = free_port()
        self.home.connect(f"127.0.0.1:{self.port}", None)
        where = ["--insecure", "--host", "127.0.0.1", "--port", str(self.port)]
        link = start("flower-superlink", where, self.home, self.folder / "superlink.log")
        wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/health"), link, "the SuperLink")
        node = f'config="{self.folder / "client.toml"}" state="{self.folder / "ada"}" name="ada"'
        self.node(self.home, "--node-config", node)

    def node(self, home: Home, *more: str) -> None:
        where = ["--superlink", f"127.0.0.1:{self.port}", "--host", "127.0.0.1", "--port", str(free_port())]
        start("flower-supernode", ["--insecure", *where, *more], home, home.folder / "supernode.log")

    def run(self, **config: str | int) -> str:
        text = " ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
        return str(flwr(["run", str(self.app), CONNECTION, "--run-config", text], self.home)["run-id"])

    def became(self, run: str, *what: str) -> str:
        """Wait until the run's status begins with one of these; the status and what the log says."""
        end = time.monotonic() + 500
        while not (found := status(run, self.home)[0]).startswith(what):
            assert time.monotonic() < end, found
            time.sleep(3.0)
        return found

    def log(self, run: str) -> str:
        return self.said("log", run, CONNECTION, "--show")

    def said(self, *command: str) -> str:
        with tempfile.TemporaryFile() as out:
            asked = self.home.ask("flwr", command, out.fileno(), out.fileno())
            assert Program("flwr", asked, self.folder / "log").wait(60)
            out.seek(0)
            return out.read().decode()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("foreign"))
    yield made
    made.home.close()
    made.bare.close()


def test_the_bundle_is_small_and_names_what_the_package_has(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tomllib.loads((BUNDLE / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert described["components"] == {"serverapp": SERVER_APP, "clientapp": CLIENT_APP}
    assert sorted(described["config"]) == sorted(RUN_KEYS)
    monkeypatch.chdir(tmp_path)
    said = stack.said("build", "--app", str(stack.app))
    (built,) = tmp_path.glob("*.fab")
    assert built.stat().st_size < 100_000, said
    with zipfile.ZipFile(built) as bundle:
        assert not [name for name in bundle.namelist() if name.endswith(".py")]


def test_unknown_keys_are_refused_in_a_line() -> None:
    with pytest.raises(RengaError, match="unknown key 'round' in the run config: did you mean 'rounds'"):
        checked({"round": 3}, RUN_KEYS, "run")
    with pytest.raises(RengaError, match="unknown key 'nonsense' in the node config: known: config, name"):
        checked({"nonsense": 1}, NODE_KEYS, "node")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_normal_flower_app_that_runs_fails_and_stops_as_one(stack: Stack) -> None:
    stack.up()
    with pytest.raises(RengaError, match="flwr run: .*Invalid run configuration"):
        stack.run(round=1)
    where = {"server": str(stack.folder / "server.toml"), "state": str(stack.folder / "state")}
    run = stack.run(**where)
    assert stack.became(run, FINISHED) == "finished:completed", stack.log(run)
    assert "round 1 is done" in stack.log(run)
    state = ServerState(stack.folder / "state")
    assert state.standing().round == 1 and state.records()[0]["clients"]["ada"]["status"] == "ok"
    kinds = [entry.kind for entry in Ledger(stack.folder / "ada" / "ledger.jsonl").entries()]
    assert kinds.count("train.exchange") == 1

    failing = stack.run(server="elsewhere.toml")  # `flwr run --stream` would return 0 for it
    assert stack.became(failing, FINISHED) == "finished:failed"
    assert "'server' in the run config must be the absolute path" in stack.log(failing)

    odd = stack.run(**where, rounds=-3)
    stack.node(stack.bare)
    assert stack.became(odd, FINISHED) == "finished:failed"
    assert "'rounds' in the run config must be a whole number from 1 on, not -3" in stack.log(odd)

    waiting = stack.run(**where, clients=5)
    end = time.monotonic() + 120
    while "does not take part: it has no renga" not in stack.log(waiting):
        assert time.monotonic() < end, stack.log(waiting)
        time.sleep(3.0)
    assert stack.log(waiting).count("does not take part") == 1
    assert stack.became(waiting, "running") == "running"
    flwr(["stop", waiting, CONNECTION], stack.home)
    assert stack.became(waiting, FINISHED) == "finished:stopped"
    runs = {str(each["run-id"]) for each in flwr(["list", CONNECTION], stack.home)["runs"]}
    assert {run, failing, waiting} <= runs
