"""What the names in a plan stand for on this machine, and answers by plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renga.errors import UsageError

if TYPE_CHECKING:
    from renga.models.contract import Clearance, LanguageModel, Sampling
    from renga.models.example import Example
    from renga.models.plans.build import Leaf
    from renga.models.plans.language import Node, PlanText

SERVER = "server"  # in [models] and --let: the federation's host, or "server:NAME" for a model it passes on
HOST = "gemma-3-270m"  # what `host` is where no client has joined


class Opened:
    """Opens model references, each set of weights once. `load`: from a reference and an adapter's folder."""

    def __init__(self, load: Callable[[str, Path | None], Any]) -> None:
        self._load = load
        self._weights: dict[str, Any] = {}

    def __call__(self, reference: str, adapter: Path | None) -> LanguageModel:
        from renga.models.adapter import checked
        from renga.models.local import LocalModel

        if reference not in self._weights:
            self._weights[reference] = self._load(reference, None).weights
        weights = self._weights[reference]
        if adapter is None:
            return LocalModel(weights)
        from dataclasses import replace

        from renga.models.adapter_files import load_peft

        worn = load_peft(adapter)
        if not worn.base:
            worn = replace(worn, base=weights.fingerprint)
        return LocalModel(
            weights, checked(worn, weights.linear_shapes, weights.fingerprint, max_rank=worn.rank)
        )


def answer_by(
    plan: Node,
    names: Mapping[str, Leaf],
    prompt: str,
    clearance: Clearance,
    sampling: Sampling,
    write: Callable[[str], None],
    tell: Callable[[str], None],
    state: Path = Path("client"),
) -> None:
    """Answer `prompt` by a plan: the text to `write` as it comes, what it cost and who was left out to
    `tell`. A plan whose models are all elsewhere is run by the server of the client in `state`.

    Raises UsageError before any model is opened if the plan can't be, or would send what may not leave.
    """
    from renga.models.composed import absences, parts_of, total
    from renga.models.contract import Clearance, Prompt
    from renga.models.plans.build import build
    from renga.models.plans.report import report
    from renga.models.responders import respond_by

    said = report(plan, names)
    if said.edges and clearance is Clearance.RAW:
        raise UsageError(
            f"the plan asks {said.edges[0].name} at the other end, and "
            "a raw prompt does not leave this device",
            hint="--public, if nothing in it is private",
        )
    if said.placed == "server":
        answer_there(said.plan, prompt, clearance, sampling, write, tell, state)
        return
    model = build(plan, names)
    start = time.perf_counter()
    for piece in respond_by(model, Prompt(prompt, clearance), sampling):
        write(piece.text)
    write("\n")
    cost = total(model)
    moved = f", {cost.bytes_up:,} B up and {cost.bytes_down:,} B down" if cost.bytes_up else ""
    tell(f"{cost.passes} passes over {cost.tokens:,} tokens{moved}, {time.perf_counter() - start:.1f} s")
    for part in parts_of(model):
        if len(getattr(part, "members", ())) > 1 and getattr(part, "fused", 0) < getattr(part, "places", 0):
            tell(f"fused at {part.fused} of {part.places} places")
    for absence in absences(model):
        tell(str(absence))


def answer_there(
    plan: str,
    prompt: str,
    clearance: Clearance,
    sampling: Sampling,
    write: Callable[[str], None],
    tell: Callable[[str], None],
    state: Path,
) -> None:
    """The same by a plan that the server of the client in `state` runs, written down or by its name there."""
    from renga.asking import ask

    start = time.perf_counter()
    used = ask(state, prompt, clearance, sampling, write, plan)
    write("\n")
    tell(
        f"at the server: {used.passes} passes over {used.tokens_read:,} tokens, "
        f"{used.tokens_written} written, {time.perf_counter() - start:.1f} s"
    )
    for absence in used.left_out:
        tell(absence)


def measure_by(
    plan: Node,
    names: Mapping[str, Leaf],
    examples: Sequence[Example],
    public: bool,
    tick: Callable[[int, int], None],
) -> dict[str, Any]:
    """Bits per byte (None for a responder), accuracy of greedy answers, and cost of a plan on texts."""
    import math

    from renga.models.ensemble.measuring import measure
    from renga.models.plans.build import build
    from renga.models.plans.report import report

    said = report(plan, names)
    if said.edges and not public:
        raise UsageError(
            f"the plan asks {said.edges[0].name} at the other end, and raw prompts do not leave this device",
            hint="--public, if nothing in the file is private",
        )
    start = time.perf_counter()
    found = measure(build(plan, names), examples, tick=tick, clearance="public" if public else "raw")
    bits = found.bits_per_byte
    cost = found.cost
    return {
        "bits_per_byte": None if math.isnan(bits) else round(bits, 4),
        "accuracy": round(found.accuracy, 4),
        "texts": len(examples),
        "passes": cost.passes,
        "tokens": cost.tokens,
        "bytes_up": cost.bytes_up,
        "bytes_down": cost.bytes_down,
        "seconds": round(time.perf_counter() - start, 1),
    }


def names_of(
    plan: PlanText,
    load: Callable[[str, Path | None], Any],
    *,
    edge: str,
    adapter: Path | None,
    lets: Sequence[str],
    state: Path,
) -> dict[str, Leaf]:
    """All names a plan may use: `edge`, `host`, what the server offers, [models] of its file, and --let.

    The later win. Opens no model; asks the server what it offers only if a client has joined.
    """
    from renga.client.hosted import is_client

    opened = Opened(load)
    names = {"edge": _here("edge", edge, adapter, opened), "host": _here("host", HOST, None, opened)}
    if is_client(state):
        names |= _offered(state)
    for name, value in plan.models.items():
        names[name] = _said(name, value, opened, names)
    for let in lets:
        name, equals, value = let.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"--let {let}: not a NAME=REF", hint="--let clinic=SmolLM2-135M-Instruct@adapters/clinic"
            )
        reference, _, folder = value.partition("@")
        names[name] = _said(
            name, {"model": reference, "adapter": folder} if folder else reference, opened, names
        )
    return names


def _said(name: str, value: Any, opened: Opened, names: Mapping[str, Leaf]) -> Leaf:
    """A name that a person gave: a reference, a table of model and adapter, or "server:NAME"."""
    from dataclasses import replace

    table = {"model": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping) or not isinstance(table.get("model"), str):
        raise UsageError(f"models.{name}: give a reference, or model = … and adapter = …")
    if strange := sorted(set(table) - {"model", "adapter"}):
        raise UsageError(f"models.{name}: there is no {strange[0]!r}", hint="known: adapter, model")
    reference = str(table["model"])
    if reference == SERVER or reference.startswith(SERVER + ":"):
        wanted = reference.partition(":")[2] or "host"
        there = [leaf for leaf in names.values() if leaf.where != "here" and leaf.name == wanted]
        if not there:
            raise UsageError(
                f"models.{name}: no server offers {wanted!r}", hint="renga join first, or --state DIR"
            )
        return replace(there[0])
    adapter = Path(table["adapter"]) if table.get("adapter") else None
    return _here(name, reference, adapter, opened)


def _here(name: str, reference: str, adapter: Path | None, opened: Opened) -> Leaf:
    from renga.models.plans.build import Leaf

    what = reference + (f" with {adapter}" if adapter else "")
    return Leaf(name, lambda: opened(reference, adapter), "here", what, tokens=lambda: _tokens(reference))


@cache
def _tokens(reference: str) -> str:
    """The fingerprint of a vocabulary, by its tokenizer alone."""
    from renga.errors import RengaError
    from renga.models.references import load_tokenizer
    from renga.models.template import Template
    from renga.models.vocabulary import Vocabulary

    try:
        tokenizer = load_tokenizer(reference)
        return Vocabulary(tokenizer, Template.of_tokenizer(tokenizer).end).fingerprint
    except RengaError:
        return ""  # what is wrong with it is said when it is opened


def _offered(state: Path) -> dict[str, Leaf]:
    from renga.client.federation import Federation, ServerPlan
    from renga.client.hosted import HostedModels
    from renga.models.plans.build import Leaf

    hosted = HostedModels(state)
    federation = cache(lambda: Federation(state))
    plans = {
        name: Leaf(
            name,
            lambda name=name: ServerPlan(federation, name),  # type: ignore[misc]
            "server",
            "a plan that it has",
            gives="responder",
        )
        for name in hosted.plans
    }
    return plans | {
        name: Leaf(
            name,
            lambda name=name: hosted.model(name),  # type: ignore[misc]
            "server" if name == "host" else "client",
            told.reference,
            told.vocabulary_size,
            lambda told=told: told.vocabulary,  # type: ignore[misc]
        )
        for name, told in hosted.described.items()
    }
