"""Rounds on a SuperLink that is somebody else's: played in Flower's ServerApp, answered in its ClientApps.

The server's side reads the config of `renga serve` and keeps its state in a folder, as that does; a node
reads the config of `renga join`, and keeps its state, policy and ledger as that does. There is no link: the
public texts lie on both sides, nodes say themselves who they are, and whoever runs the SuperLink is trusted
for it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from flwr.app import Context, Message
from flwr.serverapp import Grid

from renga.client.app import client_app
from renga.client.ledger import Ledger
from renga.client.outbox import Outbox
from renga.client.policy import read_policy
from renga.client.work import Work
from renga.deployment import ClientConfig, ServerConfig, check_format, read_deployment
from renga.errors import RengaError, UsageError
from renga.joining import FORMAT as CLIENT_FORMAT
from renga.joining import member_of
from renga.models.data import read_examples
from renga.models.references import load_tokenizer
from renga.models.template import Template
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights
from renga.operating import said
from renga.protocol import link_pb2 as wire
from renga.protocol.clock import SystemClock
from renga.protocol.named_grid import POLL, NamedGrid, ask_names
from renga.protocol.names import check_name
from renga.server.app import server_app
from renga.server.state import ServerState
from renga.server.strategy import Told
from renga.serving import Vocabularies, federation_of, held, host_of, public_texts

PATIENCE = 600.0  # seconds for as many nodes to be there as the run asks for
AGAIN = 60.0  # seconds before a node that did not say who it is is asked anew: it starts a process for that
NO_RENGA = (
    "no module named 'renga",
    "attempting to load `clientapp`",
)  # of Flower's words for a node without it


def play_here(grid: Grid, context: Context, run: Mapping[str, object]) -> None:
    """Play `rounds` more rounds. Raises UsageError for a run config that can't be right, RengaError."""
    wanted, more = _count(run, "clients"), _count(run, "rounds")
    path, folder = _path(run, "server", "run"), Path(str(run.get("state") or "state")).absolute()
    config = read_deployment(ServerConfig, path, {})
    if not config.transfer.validation:
        raise UsageError(
            f"{path}: [transfer] validation is missing; nodes must hold the very same public texts, so "
            "none can be set apart by chance"
        )
    with held(folder):
        _play(grid, context, config, folder, wanted, more)


def _play(grid: Grid, context: Context, config: ServerConfig, folder: Path, wanted: int, more: int) -> None:
    transfer, validation = public_texts(config)
    weights = SharedWeights.load(config.host.model)
    state = ServerState(folder)
    host = host_of(config, weights, validation)
    host.adapter = state.standing().host
    named = NamedGrid(grid, _Names(grid))
    end = time.monotonic() + PATIENCE
    while len(names := named.names()) < wanted:
        if time.monotonic() > end:
            raise RengaError(f"{len(names)} of {wanted} nodes are there after {PATIENCE:.0f} s")
        time.sleep(1.0)
    rounds = state.standing().round + more
    vocabularies = Vocabularies(config.edge_models, weights)
    build = federation_of(config, transfer, host, state, None, vocabularies)
    federation = build(lambda: list(config.clients) or named.names(), rounds, _listen)
    server_app(lambda context: federation)(named, context)


def answer_here(message: Message, node: Mapping[str, object]) -> Message:
    """The reply of this node's member, if its policy lets it go. Raises UsageError for a bad node config."""
    name = str(node.get("name", ""))
    check_name(name)
    work, outbox = _member(str(_path(node, "config", "node")), name, str(node.get("state") or "client"))
    return work.released(message, outbox)


@cache
def _member(path: str, name: str, state: str) -> tuple[Work, Outbox]:
    config, folder = read_deployment(ClientConfig, Path(path), {}), Path(state).absolute()
    if not config.public or not config.host:
        raise UsageError(
            'the config of this node names no public texts or no host: public = ["public.jsonl"], host = REF'
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_format(folder, CLIENT_FORMAT)
    transfer = [example for each in config.public for example in read_examples(each)]
    weights = SharedWeights.load(config.edge.model)
    tokenizer = load_tokenizer(config.host)
    vocabulary = Vocabulary(tokenizer, Template.of_tokenizer(tokenizer).end)
    host = wire.Model(reference=config.host, vocabulary=vocabulary.fingerprint)
    member = member_of(config, name, folder, weights, transfer, host)
    outbox = Outbox("superlink", read_policy(folder / "policy.toml"), Ledger(folder / "ledger.jsonl"))

    def note(_: str, trace: str) -> None:
        with open(folder / "failures.log", "a", encoding="utf-8") as file:
            file.write(trace)

    return Work.of(name, client_app(lambda context: member), note), outbox


def _path(config: Mapping[str, object], key: str, what: str) -> Path:
    path = Path(str(config.get(key) or ""))
    if not path.is_absolute() or not path.is_file():
        raise UsageError(f"{key!r} in the {what} config must be the absolute path of a TOML file here")
    return path


def _count(run: Mapping[str, object], key: str) -> int:
    found = run.get(key, 1)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UsageError(f"{key!r} in the run config must be a whole number from 1 on, not {found!r}")
    return found


class _Names:
    """Asks nodes who they are; of one that does not say, why is told once."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._later: dict[int, float] = {}
        self._told: set[tuple[int, str]] = set()

    def __call__(self, nodes: Sequence[int]) -> Mapping[int, str]:
        now = time.monotonic()
        due = [node for node in nodes if self._later.get(node, now) <= now]
        return ask_names(self._grid, due, SystemClock(POLL), silent=self._silent) if due else {}

    def _silent(self, node: int, why: str) -> None:
        self._later[node] = time.monotonic() + AGAIN
        if (node, why) not in self._told:
            self._told.add((node, why))
            _silent(node, why)


def _silent(node: int, why: str) -> None:
    if any(words in why.lower() for words in NO_RENGA):
        why = "it has no renga, or one that does not start: pip install renga there; its own log says more"
    _tell(f"node {node} does not take part: {why}")


def _listen(told: Told) -> None:
    if line := said({"what": told.what, "round": told.round, "about": told.about}):
        _tell(line)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
