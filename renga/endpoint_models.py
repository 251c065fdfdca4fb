"""What a client's endpoint and chat can ask, by name: its own model, the server's plans, and plans as
written."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from renga.client.answerers import Answerer, ByModel, ByServer, NoSuchModel
from renga.client.endpoint import Serving, endpoint
from renga.client.federation import Federation
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.vault import default_vault
from renga.deployment import Endpoint
from renga.errors import RengaError, UsageError, did_you_mean
from renga.models.contract import LanguageModel
from renga.models.weights import SharedWeights
from renga.protocol import link_pb2 as wire
from renga.protocol.key_files import read_secret, write_secret

EDGE, HOST = "edge", "host"
FRESH = 30.0  # seconds for which what the server described is believed
MOST_TOKENS = 1024  # of a text that is embedded


@dataclass(frozen=True)
class Edge:
    """The client's model as it is `now`, and its `weights`; both are asked for when they are needed."""

    reference: str
    now: Callable[[], LanguageModel]
    weights: Callable[[], SharedWeights]

    @torch.inference_mode()
    def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """The mean of the last layer's states over each text's tokens, of length 1: the model's as it is
        now, with what it has learned; and how many tokens it read."""
        weights, vectors, read_tokens = self.weights(), [], 0
        adapter = getattr(self.now(), "adapter", None)
        for text in texts:
            ids = weights.vocabulary.encode(text)[:MOST_TOKENS] or [weights.vocabulary.end]
            with weights.lock:
                weights.wear(adapter)
                read = weights.model(
                    input_ids=torch.tensor([ids]),
                    output_hidden_states=True,
                    use_cache=False,
                    logits_to_keep=1,
                )
            read_tokens += len(ids)
            mean = read.hidden_states[-1][0].float().mean(0)
            vectors.append((mean / mean.norm().clamp_min(1e-12)).tolist())
        return vectors, read_tokens


@dataclass
class Offered:
    """See `renga.client.endpoint.Models`. `folder`: the client's state."""

    folder: Path
    federation: Federation
    edge: Edge
    _described: tuple[float, wire.DescribeReply] | None = None
    _plans: dict[str, Answerer] = field(default_factory=dict)

    def listed(self) -> dict[str, str]:
        found = {EDGE: self.edge.reference}
        try:
            described = self._describe()
        except RengaError:  # the server is away: what is here can be asked all the same
            return found
        references = {model.name: model.reference for model in described.models}
        found[HOST] = references.get(HOST, "the server")
        for plan in described.plans:
            found[plan] = references.get(plan, "the server")
        return found

    def open(self, name: str) -> Answerer:
        """By a name that is listed, the edge model's reference, or a plan as it is written."""
        if name in (EDGE, self.edge.reference):
            return ByModel(self.edge.now)
        listed = self.listed()
        if name == HOST or name in listed:
            return ByServer(self.federation, name)
        if "(" in name or name.endswith(".toml"):
            if name not in self._plans:
                self._plans[name] = self._planned(name)
            return self._plans[name]
        raise NoSuchModel(f"there is no model {name!r}", hint=did_you_mean(name, listed))

    def embed(self, name: str, texts: list[str]) -> tuple[list[list[float]], int]:
        if name not in (EDGE, self.edge.reference):
            raise UsageError(f"{name!r} does not embed: texts don't leave for that", hint=f"model={EDGE}")
        return self.edge.embed(texts)

    def _planned(self, text: str) -> Answerer:
        from renga.loading import load
        from renga.models.composed import total
        from renga.models.plans.build import Leaf, build
        from renga.models.plans.language import read_plan
        from renga.models.plans.report import report
        from renga.planning import names_of

        read = read_plan(text)
        names: Mapping[str, Any] = names_of(
            read, load, edge=self.edge.reference, adapter=None, lets=[], state=self.folder
        )
        names = {**names, EDGE: Leaf(EDGE, self.edge.now, "here", self.edge.reference)}
        leaves = bool(report(read.root, names).edges)

        def cost(model: Any) -> tuple[int, int]:
            spent = total(model)
            return spent.bytes_up, spent.bytes_down

        return ByModel(lambda: build(read.root, names), leaves, cost)

    def _describe(self) -> wire.DescribeReply:
        now = time.monotonic()
        if self._described is None or now - self._described[0] > FRESH:
            self._described = now, self.federation.describe()
        return self._described[1]


def served(config: Endpoint, models: Offered, name: str, tell: Callable[[str], None]) -> Serving:
    """Serve the endpoint of a client. Raises RengaError if its token can't be written, UsageError if a
    rule is wrong."""
    folder = models.folder
    token = folder / "endpoint.token"
    if not token.exists():
        write_secret(token, secrets.token_urlsafe(32).encode() + b"\n")
    app = endpoint(models, Desk(default_vault()), read_secret(token).decode().strip())
    serving = Serving(app, config.port)
    (folder / "endpoint.json").write_text(json.dumps({"url": serving.url}))
    tell(f"{name}: programs on this machine may ask {serving.url} (token: {token})")
    return serving
