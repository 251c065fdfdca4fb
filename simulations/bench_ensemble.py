"""`renga bench ensemble`: what do several models know together that none knows alone, and what does it cost?

Edge models of one base, each tuned to one domain; a host of another family that was tuned to a fourth domain
and to the public texts of all. Every plan answers the same held-out texts of all domains. What is to be
fitted (weights, thresholds, routers, heads) is fitted to one half of them and judged by the other, and the
other way round: every text judges, and none judges what was fitted to it.

Each part writes its result into the folder `work`, and what the members say is kept there, row by row: a run
that was stopped goes on, and a part that was measured stands beside the next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import UsageError
from renga.models.contract import LanguageModel, Responder
from renga.models.ensemble.measuring import Measured, measure, paired_interval, paired_ratio_interval
from renga.models.ensemble.remembering import OPEN, Remembering
from renga.models.example import Example
from renga.models.meter import Meter, added
from renga.simulations.bench_ensemble_members import ANSWERED, EXPERTS, HOSTED, members_of, texts_of
from renga.simulations.bench_ensemble_plans import plans_of
from renga.simulations.bench_ensemble_reward import reward
from renga.simulations.bench_ensemble_routing import routed, routing
from renga.simulations.bench_tables import Tell, conditions, write_json

EDGE, HOST = "SmolLM2-135M-Instruct", "gemma-3-270m"
LONG = 3  # a text with a long response has the places of many: so much fewer are taken
PARTS = ("quality", "reward", "acceptance", "speed")


@dataclass(frozen=True)
class Asked:
    """A plan on texts: its bits on all, its answers where they are short, and what answering took."""

    bits: np.ndarray  # [texts], nan for a responder
    bytes: np.ndarray  # [texts]
    right: np.ndarray  # [short texts]
    answers: list[str]
    cost: Meter
    calls: float = float("nan")  # share of the short texts that the host was asked about

    @property
    def bits_per_byte(self) -> float:
        return float(self.bits.sum() / max(1.0, self.bytes.sum()))

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


Alone = dict[str, tuple[Asked, Asked]]  # of each member: on texts that fit, and on those that judge
Halves = tuple[list[Example], list[Example]]


def bench(
    data: Path,
    work: Path,
    *,
    texts: int,
    seed: int,
    tell: Tell,
    part: str = "quality",
    models: tuple[str, str] = (EDGE, HOST),
    budget: int = 0,
) -> dict[str, Any]:
    """Measure a part on two halves of `texts` texts of each domain, of one with long responses a third as
    many; the result has what other parts have measured in `work`, too. models: edge and host. budget: tokens
    of training instead of the members' own. Raises UsageError for too few texts."""
    halves = _texts(data, texts, seed)
    fitting, held = halves
    members = members_of(data, work, models, budget, tell)
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "quality": lambda: quality(members, halves, tell),
        "reward": lambda: {"reward": reward(members, fitting, held, work, tell)},
        "acceptance": lambda: {"acceptance": _acceptance(members, held, tell)},
        "speed": lambda: {"speed": _speed(members, models, held, tell)},
    }
    for name in PARTS if part == "all" else (part,):
        write_json(work / f"{name}.json", json.dumps({"seed": seed, "texts": texts, **measures[name]()}))
    result: dict[str, Any] = {
        "benchmark": "ensemble",
        "models": {"edge": models[0], "host": models[1]},
        "conditions": conditions(),
    }
    for name in PARTS:
        if (kept := work / f"{name}.json").exists():
            result |= json.loads(kept.read_text())
    return result


def quality(members: dict[str, Remembering], halves: Halves, tell: Tell) -> dict[str, Any]:
    """Every plan beside every member, paired by text; each half is answered by plans fitted to the other."""
    alone: Alone = {}
    for name, model in members.items():
        tell(f"{name} alone")
        first, second = (_asked_once(_file(members, name, texts), model, members, texts) for texts in halves)
        alone[name] = first, second
    parts: dict[str, list[Asked]] = {name: list(both) for name, both in alone.items()}
    sides, told = [], []
    for held in (0, 1):
        other = 1 - held
        known = {name: (both[other], both[held]) for name, both in alone.items()}
        plans, fitted = plans_of(members, known, halves[other], halves[held], tell)
        for name, plan in plans.items():
            tell(f"{name}, half {held + 1} of 2")
            file = _file(members, name, fitted.told, halves[other], halves[held])
            parts.setdefault(name, []).append(_asked_once(file, plan, members, halves[held]))
        sides.append(routed(known, halves[other], halves[held], fitted.router, fitted.features))
        told.append(fitted.told)
    rows = {name: joined(both) for name, both in parts.items() if len(both) == 2}
    own = {name: rows[name] for name in members}
    best = max(own, key=lambda name: own[name].accuracy)
    least = min(own, key=lambda name: own[name].bits_per_byte)
    bounds = _policies(own)
    rows = {**own, **bounds, **rows}
    texts = [*halves[0], *halves[1]]
    return {
        "held": len(texts),
        "answered": len(short_of(texts)),
        "best_member": best,
        "best_member_by_bits": least,
        "members": list(members),
        "rows": {name: _row(found, rows[best], rows[least], rows["host"]) for name, found in rows.items()},
        "domains": {name: _by_domain(found, texts) for name, found in rows.items()},
        "routing": routing(sides),
        "bytes": _by_bytes(members, halves[1], tell),
        "fitted": told,
    }


def joined(parts: Sequence[Asked]) -> Asked:
    """What was asked of several lists of texts, as of one."""
    shares = [len(part.right) for part in parts]
    return Asked(
        np.concatenate([part.bits for part in parts]),
        np.concatenate([part.bytes for part in parts]),
        np.concatenate([part.right for part in parts]),
        [text for part in parts for text in part.answers],
        added([part.cost for part in parts]),
        float(np.average([part.calls for part in parts], weights=shares)),
    )


def short_of(texts: Sequence[Example]) -> list[Example]:
    """Those whose answers are short enough to be right or wrong."""
    return [example for example in texts if example.domain in ANSWERED]


def asked(
    answering: Responder | LanguageModel, members: dict[str, Remembering], texts: Sequence[Example]
) -> Asked:
    """Bits on all texts; answers, and what they take, where they are short. A few texts at a time: so long do
    the members keep what they have read."""
    host, called = members["host"], set[str]()
    scored: list[np.ndarray] = []
    said: list[Measured] = []
    for start in range(0, len(texts), OPEN):
        some = texts[start : start + OPEN]
        if hasattr(answering, "open"):
            scored.append(measure(answering, some, said=False).bits)
        host.asked.clear()
        said.append(measure(answering, short_of(some), scored=False, count=lambda text: len(text) // 2 + 2))
        called |= host.asked
    sizes = np.array([float(len((example.response or "").encode())) for example in texts])
    return Asked(
        np.concatenate(scored) if scored else np.full(len(texts), np.nan),
        sizes,
        np.concatenate([each.right for each in said]),
        [text for each in said for text in each.answers],
        added([each.cost for each in said]),
        len(called) / len({example.prompt for example in short_of(texts)}),
    )


def _asked_once(
    file: Path, plan: Responder | LanguageModel, members: dict[str, Remembering], texts: Sequence[Example]
) -> Asked:
    """`asked`, and written to a file, or read from there: judges see answers anew each time, which takes
    long."""
    if file.exists():
        told = json.loads(file.read_text())
        bits, sizes, right = (np.array(told[name]) for name in ("bits", "bytes", "right"))
        return Asked(bits, sizes, right, told["answers"], Meter(**told["cost"]), told["calls"])
    found = asked(plan, members, texts)
    told = {name: getattr(found, name).tolist() for name in ("bits", "bytes", "right")}
    cost = {key: value for key, value in asdict(found.cost).items() if not key.startswith("_")}
    told |= {"answers": found.answers, "cost": cost, "calls": found.calls}
    write_json(file, json.dumps(told))
    return found


def _file(members: dict[str, Remembering], *what: object) -> Path:
    """Where the answers of a plan or a member are kept: what was fitted to other texts belongs to its
    name."""
    folders = [member.folder for member in members.values() if member.folder is not None]
    named = hashlib.sha256(repr(([folder.name for folder in folders], what)).encode()).hexdigest()[:24]
    return folders[0].parent / "asked" / f"{named}.json"


def _texts(data: Path, texts: int, seed: int) -> Halves:
    rng = np.random.default_rng(seed)
    fitting: list[Example] = []
    held: list[Example] = []
    for domain in sorted({*EXPERTS, HOSTED}):
        known = texts_of(data, "validation", [domain])
        count = texts if domain in ANSWERED else max(2, texts // LONG)
        if len(known) < 2 * count:
            raise UsageError(f"{domain} has {len(known)} held-out texts, fewer than 2 x {count}")
        drawn = [known[i] for i in rng.permutation(len(known))[: 2 * count]]
        fitting += drawn[:count]
        held += drawn[count:]
    return fitting, held


def _policies(rows: dict[str, Asked]) -> dict[str, Asked]:
    """Of the members' answers one at random, in the mean, and the best of each text: bounds from below and
    above."""
    right = np.stack([found.right for found in rows.values()])
    bits = np.stack([found.bits for found in rows.values()])
    sizes = next(iter(rows.values())).bytes
    return {
        "random member": Asked(bits.mean(0), sizes, right.mean(0), [], Meter()),
        "oracle member": Asked(bits.min(0), sizes, right.max(0), [], Meter()),
    }


def _row(found: Asked, best: Asked, least: Asked, host: Asked) -> dict[str, Any]:
    """What the table shows of a plan, and how it differs from the best members and the host, paired by
    text."""
    row: dict[str, Any] = {
        "accuracy": found.accuracy,
        "against_best": paired_interval(found.right, best.right),
        "against_host": paired_interval(found.right, host.right),
        "host_calls": None if np.isnan(found.calls) else found.calls,
        "passes": found.cost.passes,
        "tokens": found.cost.tokens,
        "bytes": found.cost.bytes_up + found.cost.bytes_down,
        "seconds": found.cost.seconds,
    }
    if not np.isnan(found.bits).any():
        row["bits_per_byte"] = found.bits_per_byte
        row["bits_against_best"] = paired_ratio_interval(found.bits, least.bits, found.bytes)
    return row


def _by_domain(found: Asked, held: Sequence[Example]) -> dict[str, dict[str, float | None]]:
    """Accuracy and bits per byte of each domain's texts."""
    short = [example.domain for example in short_of(held)]
    whole = [example.domain for example in held]
    told: dict[str, dict[str, float | None]] = {}
    for domain in sorted({*EXPERTS, HOSTED}):
        mine = np.array([each == domain for each in whole])
        bits = float(found.bits[mine].sum() / found.bytes[mine].sum())
        right = [r for r, each in zip(found.right, short, strict=True) if each == domain]
        told[domain] = {
            "accuracy": float(np.mean(right)) if right else None,
            "bits_per_byte": None if np.isnan(bits) else bits,
        }
    return told


def _by_bytes(members: dict[str, Remembering], held: Sequence[Example], tell: Tell) -> dict[str, Any]:
    """Rules over tokens against the exact mixture over bytes, on a few short texts: bits per byte, with even
    weights, of an expert and the host."""
    from renga.models.ensemble.fuse import fuse

    texts = short_of(held)[::8][:4]
    expert, host = members[EXPERTS[0]], members["host"].inner
    found: dict[str, Any] = {"texts": len(texts)}
    whole = Remembering(host, "host", folder=members["host"].folder)
    for align in ("bytes", "string", "union"):
        tell(f"fuse({expert.name}, host, align='{align}') on {len(texts)} texts")
        found[align] = measure(fuse(expert, whole, align=align), texts, said=False).bits_per_byte
    return found


def _acceptance(members: dict[str, Remembering], held: Sequence[Example], tell: Tell) -> dict[str, Any]:
    """On real text, of members with one vocabulary and of members with two."""
    from renga.simulations.bench_ensemble_speed import acceptance

    first, second, host = members[EXPERTS[0]], members[EXPERTS[1]], members["host"]
    prompts = [example.prompt for example in held if example.domain == "phonetics"][:4]
    whole = Remembering(host.inner, "host", folder=host.folder)
    found: dict[str, Any] = {}
    for name, other in ((f"{first.name} and {second.name}", second), (f"{first.name} and host", whole)):
        tell(f"acceptance: {name}")
        found[name] = acceptance(first, other, prompts, 24, (0.25, 0.5, 0.75))
    return found


def _speed(
    members: dict[str, Remembering], models: tuple[str, str], held: Sequence[Example], tell: Tell
) -> dict[str, Any]:
    """On the models themselves, nothing remembered."""
    import torch

    from renga.models.apart import Apart
    from renga.models.local import LocalModel
    from renga.models.weights import SharedWeights
    from renga.simulations.bench_ensemble_speed import Ways, speed, union_milliseconds

    first, second, host = (members[name].inner for name in (EXPERTS[0], EXPERTS[1], "host"))
    long = [example for example in held if example.domain == "phonetics"][:2]
    torch.set_num_threads(1)  # of each member: side by side they have the cores that they have alone
    assert isinstance(first, LocalModel) and isinstance(second, LocalModel) and isinstance(host, LocalModel)
    copied = LocalModel(SharedWeights.load(models[0]), first.adapter)  # weights of its own: no turns
    processes = [Apart(model) for model in (first, second, host)]
    try:
        edges: Ways = {
            "one base, in turn": (first, second),
            "threads": (copied, second),
            "processes": (processes[0], processes[1]),
        }
        across: Ways = {"threads": (first, host), "processes": (processes[0], processes[2])}
        return {
            "pairs": {
                "both edge models": speed((first, second), edges, long, 20, tell),
                "edge and host, union": speed((first, host), across, long, 20, tell),
            },
            "union": union_milliseconds(first, host, long[0], 40),
        }
    finally:
        for model in processes:
            model.close()
