"""`renga bench merging`, the half on whole models: Renga against mergekit, whole process against whole
process.

Both run the same mergekit recipe on the same files, warm in the system's cache, with one thread, one after
the other; ours starts from an empty store, so it reads and hashes every input first. What counts is CPU time,
user and system, of the process and its children, and the peak of private memory (RssAnon: without the mapped
files), sampled. Weights are random: speed and memory don't depend on their values. Finished cases are kept in
the work folder, and a benchmark that was stopped goes on there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import RengaError, UsageError
from renga.simulations.bench_tables import Tell

# CPU time of mergekit over ours, at least, and our share of its private memory, at most.
TARGETS = {
    "linear": 3.0, "slerp": 3.0, "task_arithmetic": 3.0, "model_stock": 3.0, "ties": 6.0, "breadcrumbs": 6.0,
    "dare_ties": 2.0, "della": 2.0,
}  # fmt: skip
MEMORY_SHARE = 0.25
OVER_COPYING = 2.5
INPUTS = (2, 4)
REPEATS, BRIEF = 3, 20.0  # runs of what takes fewer seconds

_SHAPE = {"hidden": 576, "inner": 1536, "layers": 30, "words": 49152, "keys": 192}  # SmolLM2-135M
_OPTIONS = {
    "ties": {"density": 0.5}, "dare_ties": {"density": 0.5}, "della": {"density": 0.5, "epsilon": 0.1},
    "breadcrumbs": {"density": 0.5, "gamma": 0.01},
}  # fmt: skip
_COPYING = (
    "import sys\n"
    "chunk = bytearray(1 << 20)\n"
    "read = 0\n"
    "with open(sys.argv[1], 'wb', buffering=0) as out:\n"
    "    for k, name in enumerate(sys.argv[2:]):\n"
    "        with open(name, 'rb', buffering=0) as file:\n"
    "            while count := file.readinto(chunk):\n"
    "                if k == 0:\n"
    "                    out.write(memoryview(chunk)[:count])\n"
    "    import os\n"
    "    os.fdatasync(out.fileno())\n"
)


def measure(
    mergekit: str,
    work: Path,
    *,
    methods: Sequence[str] = tuple(TARGETS),
    inputs: Sequence[int] = INPUTS,
    shape: Mapping[str, int] | None = None,
    tell: Tell = lambda line: None,
) -> dict[str, Any]:
    """Every method with every number of inputs, by both; `mergekit` is the program `mergekit-yaml`.

    Raises UsageError when the program isn't there, RengaError when a merge fails.
    """
    program = shutil.which(mergekit)
    if program is None:
        raise UsageError(
            f"there is no program {mergekit!r} to compare with",
            hint="install mergekit in an environment of its own and name its mergekit-yaml",
        )
    size = {**_SHAPE, **(shape or {})}
    models = work / "models"
    _make_models(models, max(inputs), size, tell)
    cases = []
    for method in methods:
        for count in inputs:
            if method == "slerp" and count > 2:
                continue
            cases.append(_case(method, count, program, models, work, tell))
    return {
        "shape": size,
        "parameters": sum(int(np.prod(s)) for s in shapes(size).values()),
        "cases": cases,
        "copying": _copying(models, work, tell),
        "start": _kept(work, "start", lambda: _run([program, "--help"], work)),
    }


def shapes(size: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The tensors of a llama of this size, with tied embeddings."""
    hidden, inner, keys = size["hidden"], size["inner"], size["keys"]
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (size["words"], hidden)}
    for layer in range(size["layers"]):
        at = f"model.layers.{layer}."
        found |= {at + f"{norm}_layernorm.weight": (hidden,) for norm in ("input", "post_attention")}
        found |= {at + f"self_attn.{name}_proj.weight": (hidden, hidden) for name in "qo"}
        found |= {at + f"self_attn.{name}_proj.weight": (keys, hidden) for name in "kv"}
        found |= {at + f"mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        found[at + "mlp.down_proj.weight"] = (hidden, inner)
    found["model.norm.weight"] = (hidden,)
    return found


def _make_models(folder: Path, count: int, size: Mapping[str, int], tell: Tell) -> None:
    """base, m0, m1, …: float32, the others at a tenth of its size from the base."""
    from safetensors.numpy import save_file

    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": size["hidden"],
        "intermediate_size": size["inner"],
        "num_hidden_layers": size["layers"],
        "num_attention_heads": 3 * size["hidden"] // size["keys"],
        "num_key_value_heads": 3,
        "vocab_size": size["words"],
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    for number in range(-1, count):
        place = folder / ("base" if number < 0 else f"m{number}")
        if (place / "config.json").is_file():
            continue
        tell(f"making {place.name}")
        place.mkdir(parents=True, exist_ok=True)
        base, own = np.random.default_rng(0), np.random.default_rng(number + 1)
        tensors = {}
        for name, shape in shapes(size).items():
            tensors[name] = base.standard_normal(shape, np.float32) * np.float32(0.02)
            if number >= 0:
                tensors[name] += own.standard_normal(shape, np.float32) * np.float32(0.002)
        save_file(tensors, place / "model.safetensors", {"format": "pt"})
        (place / "config.json").write_text(json.dumps(config))


def recipe(method: str, models: Path, count: int) -> str:
    """mergekit's YAML (which is JSON, too) of a case."""
    settings: dict[str, Any] = {"weight": 1.0 / count, **_OPTIONS.get(method, {})}
    names = [f"m{number}" for number in range(count)]
    data: dict[str, Any] = {"merge_method": method, "dtype": "float32"}
    if method == "slerp":
        names, settings = ["base", "m0"], {}
        data["parameters"] = {"t": 0.4}
    elif method == "model_stock":
        settings = {}
    data["models"] = [
        {"model": str(models / name), **({"parameters": settings} if settings else {})} for name in names
    ]
    if method != "linear":
        data["base_model"] = str(models / "base")
    return json.dumps(data, indent=1)


def _case(method: str, count: int, program: str, models: Path, work: Path, tell: Tell) -> dict[str, Any]:
    written = work / f"{method}-{count}.yml"
    written.write_text(recipe(method, models, count))
    out = work / "out"
    ours = [sys.executable, "-m", "renga", "merge", str(written), "-o", str(out), "--threads"]

    def run(name: str, command: Sequence[str], *, fresh: bool = True, threads: int = 1) -> dict[str, float]:
        def once() -> dict[str, float]:
            tell(f"{method} of {count}: {name}")
            shutil.rmtree(out, ignore_errors=True)
            if fresh:
                shutil.rmtree(work / "store", ignore_errors=True)
            found = _run(command, work, threads)
            shutil.rmtree(out, ignore_errors=True)
            return found

        return _kept(work, f"{method}-{count}-{name}", lambda: _median(once))

    theirs = [program, str(written), str(out), "--no-copy-tokenizer"]
    cores = len(os.sched_getaffinity(0))
    return {
        "method": method,
        "inputs": count,
        "ours": run("ours", [*ours, "1"]),
        "ours_again": run("ours-again", [*ours, "1"], fresh=False),
        "ours_all_cores": run("ours-all-cores", [*ours, "0"], threads=cores),
        "mergekit": run("mergekit", theirs),
        "mergekit_all_cores": run("mergekit-all-cores", theirs, threads=cores),
    }


def _median(once: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Of three runs the one between in CPU time, where a run is short and another process's noise tells."""
    runs = [once()]
    while len(runs) < REPEATS and runs[0]["cpu_seconds"] < BRIEF:
        runs.append(once())
    return sorted(runs, key=lambda found: found["cpu_seconds"])[len(runs) // 2]


def _copying(models: Path, work: Path, tell: Tell) -> dict[str, dict[str, float]]:
    """Reading two or four models and writing one, and doing nothing with them."""

    def once(count: int) -> dict[str, float]:
        tell(f"reading {count} models and writing one")
        files = [str(models / f"m{k}" / "model.safetensors") for k in range(count)]
        found = _run([sys.executable, "-c", _COPYING, str(work / "copy"), *files], work)
        (work / "copy").unlink()
        return found

    there = [count for count in INPUTS if (models / f"m{count - 1}").is_dir()]
    return {
        str(count): _kept(work, f"copying-{count}", lambda count=count: _median(lambda: once(count)))
        for count in there
    }


def _kept(work: Path, name: str, compute: Any) -> dict[str, float]:
    """What was measured before, or is now."""
    place = work / "cases" / f"{name}.json"
    if not place.is_file():
        found = compute()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(found))
    kept: dict[str, float] = json.loads(place.read_text())
    return kept


def _run(command: Sequence[str], work: Path, threads: int = 1) -> dict[str, float]:
    """CPU and wall seconds of a process with so many threads, and the peak of its private memory in MB."""
    surroundings = os.environ | {
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)),
        "HF_HUB_OFFLINE": "1",
        "RENGA_CACHE": str(work / "store"),
        "TQDM_DISABLE": "1",
    }
    started = time.perf_counter()
    with (work / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=surroundings)
        peak, ended = [0.0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended))
        watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        ended.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = (work / "log").read_text(errors="replace").strip().splitlines()
        raise RengaError(f"{Path(command[0]).name} failed: {said[-1] if said else process.returncode}")
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "wall_seconds": time.perf_counter() - started,
        "private_mb": peak[0],
    }


def _watch(process: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(0.004):
        try:
            with open(f"/proc/{process}/status", encoding="ascii") as status:
                private = next((line for line in status if line.startswith("RssAnon")), None)
        except OSError:
            return
        if private is not None:
            peak[0] = max(peak[0], int(private.split()[1]) / 1024)
