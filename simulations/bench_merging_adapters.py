"""`renga bench merging`, the half on adapters: Renga against PEFT's `add_weighted_adapter`, operation against
operation.

Both merge the same random adapters (a common part and noise; speed and error are meant, not quality) of the
geometry of SmolLM2-135M, or a 2048-wide one, each in a process of its own, with one thread. What is loaded
before the merge isn't counted: PEFT's needs the base model for it. What counts is CPU time of the process
during the merge, and by how much its private memory (RssAnon, sampled) rose above what was there.

    python -m renga.simulations.bench_merging_adapters SIDE CASE      # one measurement, as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import RengaError
from renga.models.adapter import Adapter, Factors
from renga.simulations.bench_tables import Tell

_MODULE = "renga.simulations.bench_merging_adapters"

SMOL = {"hidden": 576, "inner": 1536, "keys": 192, "layers": 30}
WIDE = {"hidden": 2048, "inner": 5632, "keys": 512, "layers": 1}


@dataclass(frozen=True)
class Case:
    """What is merged, by which of our methods and PEFT's type; targets are their CPU time over ours."""

    name: str
    ours: str
    theirs: str
    adapters: int
    rank: int
    target: float
    hoped: float
    wide: bool = False
    layers: int = 0  # of the geometry; 0: all. PEFT's dearest are measured on a part
    space: str = ""

    @property
    def geometry(self) -> dict[str, int]:
        return {**(WIDE if self.wide else SMOL), **({"layers": self.layers} if self.layers else {})}


CASES: Sequence[Case] = (
    Case("best rank 16", "average", "svd", 8, 16, 15, 30, layers=6),
    Case("best rank 16 of 32", "average", "svd", 32, 16, 15, 30, layers=6),
    Case("best rank 16, 2048 wide", "average", "svd", 8, 16, 150, 300, wide=True),
    Case("ties in the core", "ties", "ties_svd", 8, 16, 10, 10, layers=2),
    Case("knots", "knots", "ties_svd", 8, 16, 10, 10, layers=2),
    Case("ties on factors", "ties", "ties", 8, 16, 3, 10, layers=10, space="factors"),
    Case("dare_ties on factors", "dare_ties", "dare_ties", 8, 16, 3, 10, layers=10, space="factors"),
    Case("pruning of factors", "magnitude", "magnitude_prune", 8, 16, 3, 10, layers=10, space="factors"),
    Case("ties in the core, against factors", "ties", "ties", 8, 16, 3, 10, layers=10),
)

REPEATS, BRIEF = 5, 2.0  # seconds

# Cost against the number of adapters and the rank: best rank 16, ours alone.
GROWTH = (*((n, 16) for n in (4, 8, 16, 32, 64, 128, 256)), *((8, r) for r in (8, 32, 64, 128)))


def measure(
    work: Path,
    *,
    cases: Sequence[Case] = CASES,
    growth: bool = True,
    threads: int = 1,
    tell: Tell = lambda line: None,
) -> dict[str, Any]:
    """Every case by both sides with so many threads, and the growth of ours. `work` keeps what is
    finished."""
    rows = []
    for case in cases:
        ours, theirs = (_kept(work, side, case, threads, tell) for side in ("ours", "theirs"))
        rows.append({**asdict(case), "ours_measured": ours, "theirs_measured": theirs})
    grown = []
    for adapters, rank in GROWTH if growth else ():
        case = Case(f"growth {adapters} {rank}", "average", "svd", adapters, rank, 0, 0, layers=1)
        grown.append({"adapters": adapters, "rank": rank, **_kept(work, "ours", case, 1, tell)})
    return {"cases": rows, "growth": grown, "threads": threads}


def shapes(geometry: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """[out, in] of the linear modules of a Llama of this geometry."""
    h, f, kv = geometry["hidden"], geometry["inner"], geometry["keys"]
    found: dict[str, tuple[int, int]] = {}
    for layer in range(geometry["layers"]):
        attention, mlp = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
        found |= {f"{attention}.{n}_proj": (o, h) for n, o in (("q", h), ("k", kv), ("v", kv), ("o", h))}
        found |= {f"{mlp}.gate_proj": (f, h), f"{mlp}.up_proj": (f, h), f"{mlp}.down_proj": (h, f)}
    return found


def made(case: Case) -> list[Adapter]:
    """The adapters of a case: half of each factor is common to all."""
    rng = np.random.default_rng(0)
    modules = shapes(case.geometry)
    common = {n: _factors(rng, case.rank, *shape) for n, shape in modules.items()}
    found = []
    for k in range(case.adapters):
        rng = np.random.default_rng(k + 1)
        own = {n: _factors(rng, case.rank, *shape) for n, shape in modules.items()}
        factors = {n: Factors(common[n].a + f.a, common[n].b + f.b) for n, f in own.items()}
        found.append(Adapter(factors, float(case.rank), case.rank, "base", {"who": str(k)}))
    return found


def _factors(rng: np.random.Generator, rank: int, out: int, into: int) -> Factors:
    a = rng.standard_normal((rank, into), np.float32) / np.float32(into**0.5)
    return Factors(a, 0.02 * rng.standard_normal((out, rank), np.float32))


def _kept(work: Path, side: str, case: Case, threads: int, tell: Tell) -> dict[str, Any]:
    path = work / f"{case.name.replace(' ', '-')}.{side}{'' if threads == 1 else f'.{threads}'}.json"
    if not path.is_file():
        tell(f"{case.name}, {side}")
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        done = subprocess.run(
            [sys.executable, "-m", _MODULE, side, json.dumps(asdict(case))],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RengaError(f"{case.name}, {side}, failed: {done.stderr.strip().splitlines()[-1]}")
        work.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _ours(case: Case) -> dict[str, Any]:
    from renga.models.adapter import distance
    from renga.server.merging import merge
    from renga.server.merging.average import stack
    from renga.server.merging.lowrank import svd_of_product

    adapters = made(case)
    options: dict[str, Any] = {"space": case.space} if case.space else {}
    options |= {"density": 0.5} if case.theirs != "svd" else {}
    rank = None if case.space or case.theirs in ("ties",) else case.rank
    merge(adapters[:2], case.ours, rank=rank, only=[r"\.0\.self_attn\.k_proj"], **options)  # imports, caches
    cost = _measured(lambda: merge(adapters, case.ours, rank=rank, **options))
    merged = cost.pop("result")
    if case.theirs == "svd" and case.adapters <= 32 and case.rank <= 16:
        whole = stack(adapters, [1.0] * len(adapters))
        names = sorted(whole.factors)[:: max(1, len(whole.factors) // 7)]
        off = []
        for name in names:
            f = whole.factors[name]
            s = svd_of_product(f.b.astype(np.float64), f.a.astype(np.float64))[1]
            best = float(np.linalg.norm(s[case.rank :]))
            mine = merged.adapter
            part = Adapter({name: mine.factors[name]}, mine.alpha, mine.rank, "base")
            exact = Adapter({name: f}, whole.alpha, whole.rank, "base")
            off.append(distance(part, exact) * float(np.linalg.norm(s)) / best - 1)
        cost["above_optimum"] = max(off)
    return cost


def _theirs(case: Case) -> dict[str, Any]:
    import peft
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    g = case.geometry
    config = LlamaConfig(
        vocab_size=64, hidden_size=g["hidden"], intermediate_size=g["inner"], num_hidden_layers=g["layers"],
        num_attention_heads=g["hidden"] // 64, num_key_value_heads=g["keys"] // 64, head_dim=64,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    adapters, wrapped = made(case), None
    for k, adapter in enumerate(adapters):
        lora = peft.LoraConfig(r=case.rank, lora_alpha=case.rank, target_modules="all-linear")
        if wrapped is None:
            wrapped = peft.get_peft_model(model, lora, adapter_name="0")
        else:
            wrapped.add_adapter(str(k), lora)
        with torch.no_grad():
            for name, f in adapter.factors.items():
                layer = wrapped.base_model.model.get_submodule(name)
                layer.lora_A[str(k)].weight.copy_(torch.from_numpy(f.a))
                layer.lora_B[str(k)].weight.copy_(torch.from_numpy(f.b))
    assert wrapped is not None
    names, weights = [str(k) for k in range(case.adapters)], [1.0 / case.adapters] * case.adapters
    more = {} if case.theirs == "svd" else {"density": 0.5}
    if case.theirs.endswith("svd"):
        more["svd_rank"] = case.rank

    def run() -> str:
        merged = f"merged{len(wrapped.peft_config)}"
        wrapped.add_weighted_adapter(names, weights, merged, combination_type=case.theirs, **more)
        return merged

    cost = _measured(run)
    del cost["result"]
    return cost


def _measured(run: Callable[[], Any]) -> dict[str, Any]:
    """CPU seconds of the process, and by how many bytes its private memory rose at most.

    What takes less than a second or two is done again, and the median of its times taken.
    """
    first = _once(run)
    runs = [first]
    while len(runs) < REPEATS and first["seconds"] < BRIEF:
        runs.append(_once(run))
    middle = sorted(runs, key=lambda found: found["seconds"])[len(runs) // 2]
    return {**first, "seconds": middle["seconds"], "wall": middle["wall"]}


def _once(run: Callable[[], Any]) -> dict[str, Any]:
    before, most, over = _private(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            most[0] = max(most[0], _private())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, wall = time.process_time(), time.perf_counter()
    result = run()
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    over.set()
    watcher.join()
    return {
        "seconds": seconds,
        "wall": wall,
        "memory": max(0, max(most[0], _private()) - before),
        "result": result,
    }


def _private() -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


if __name__ == "__main__":
    print(json.dumps((_ours if sys.argv[1] == "ours" else _theirs)(Case(**json.loads(sys.argv[2])))))
