"""`renga bench memory`: what a simulated federation takes beside its models and its data.

Each federation runs in a process of its own, on a model of some thousand weights that is made on the spot:
beside such a model, what a client costs is seen. Overhead, the time of a round over the time inside torch,
needs a model whose size is real.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from renga.errors import RengaError
from renga.simulations.bench_tables import Tell
from renga.simulations.units import size

# The server holds every client's adapter until it has merged them: decoded, and as it travelled. This many
# times a client's data and float32 adapter may it take.
FLAT_TIMES = 4
OVERHEAD_AT_MOST = 1.15
TEXTS, PUBLIC, HELD_OUT = 30, 20, 1


def measure(
    clients: Sequence[int] = (4, 32, 100),
    *,
    model: str | None = None,
    host: str | None = None,
    tokens: int = 4_000,
    threads: int = 0,
    trace: bool = False,
    tell: Tell = lambda line: None,
) -> dict[str, Any]:
    """Peak memory by number of clients; and, if `model` is given, the overhead of a round with it.

    model, host: references of an edge and a host model (`host` None: the same) for two clients that learn
    `tokens` tokens each; threads: for torch there, 0 for all. trace: say also where Python's own memory
    grew, which makes the runs several times slower.
    """
    with TemporaryDirectory(prefix="renga-bench-") as folder:
        work = Path(folder)
        tell("making a tiny model")
        _child("model", str(work / "tiny"))
        runs = []
        for count in sorted(set(clients)):
            tell(f"a federation of {count} clients")
            run_folder = work / f"{count}-clients"
            config = write_federation(run_folder, count, str(work / "tiny"))
            found = _child("run", str(config), str(run_folder / "out"), *(["trace"] if trace else []))
            runs.append({**found, "data_bytes_per_client": _data_bytes(run_folder)})
        overhead = None
        if model is not None:
            tell(f"one round with {model}")
            edge, hosted = _reference(model), _reference(host or model)
            config = write_federation(work / "overhead", 2, edge, host=hosted, tokens=tokens, threads=threads)
            overhead = {
                "model": model,
                "host": host or model,
                **_child("run", str(config), str(work / "overhead" / "out")),
            }
    return {"benchmark": "memory", "runs": runs, "per_client": per_client(runs), "overhead": overhead}


def per_client(runs: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Bytes that one more client takes, from the fewest to the most clients: peak, and data alone."""
    if len(runs) < 2:
        return None
    few, many = runs[0], runs[-1]
    more = many["clients"] - few["clients"]
    return {
        "peak_bytes": (many["peak_bytes"] - few["peak_bytes"]) / more,
        "data_bytes": float(many["data_bytes_per_client"]),
        "adapter_bytes": float(many["adapter_bytes"]),
    }


def targets(result: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """Each target, whether it is met, and what was measured."""
    found = []
    if growth := result["per_client"]:
        own = growth["data_bytes"] + growth["adapter_bytes"]
        took = f"{size(growth['peak_bytes'])} a client, whose data and adapter are {size(own)}"
        flat = growth["peak_bytes"] <= FLAT_TIMES * own
        found.append(("memory is flat but for the clients' data and adapters", flat, took))
    if (overhead := result["overhead"]) and overhead["overhead"]:
        told = f"a round takes at most {OVERHEAD_AT_MOST} of the time inside torch"
        found.append((told, overhead["overhead"] <= OVERHEAD_AT_MOST, f"{overhead['overhead']:.3f}"))
    return found


def write_federation(
    folder: Path, clients: int, model: str, *, host: str | None = None, tokens: int = 2_000, threads: int = 1
) -> Path:
    """A config with made-up text for every client; the path of the config."""
    folder.mkdir(parents=True)
    names = [f"client{n:03d}" for n in range(clients)]
    for name in names:
        _write(folder / f"{name}.jsonl", name, TEXTS)
        _write(folder / f"{name}-held-out.jsonl", f"{name} later", HELD_OUT)
    _write(folder / "public.jsonl", "everybody", PUBLIC)
    config = {
        "name": "memory",
        "rounds": 1,
        "threads": threads,
        "host": {"model": host or model, "rank": 8, "tokens": tokens},
        "edge": {"model": model, "rank": 8, "tokens": tokens, "transfer_tokens": tokens // 2},
        "clients": [
            {"name": name, "data": f"{name}.jsonl", "held_out": f"{name}-held-out.jsonl"} for name in names
        ],
        "transfer": {"data": ["public.jsonl"]},
        "evaluate": {"accuracy": False},
        "baselines": {"alone": False},
    }
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(config), encoding="utf-8")
    return path


def _write(path: Path, of: str, count: int) -> None:
    lines = [
        {
            "prompt": f"Which way does the {n}th boat of {of} take to the northern harbour?",
            "response": f"It passes {n} islands and the light of {of}, then it turns to the west.",
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _data_bytes(folder: Path) -> float:
    files = list(folder.glob("client*.jsonl"))
    return sum(path.stat().st_size for path in files) / (len(files) / 2)


def _reference(model: str) -> str:
    """As the other process, which has the same folder, understands it: paths in a config start elsewhere."""
    return str(Path(model).resolve()) if Path(model).exists() else model


def _child(*arguments: str) -> dict[str, Any]:
    """What another process of this module prints. Its words go on to stderr only if it fails."""
    command = [sys.executable, "-m", "renga.simulations.bench_memory", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise RengaError(f"a measured run failed: {lines[-1] if lines else 'it said nothing'}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _run(config: Path, out: Path, trace: bool) -> dict[str, Any]:
    """Run a federation; what it took."""
    import tracemalloc

    from renga.config import load
    from renga.simulations.bench_learning_summary import overhead
    from renga.simulations.metrics import read_metrics
    from renga.simulations.simulate import run

    # What all runs share is there before the first look.
    import renga.models.references  # noqa: F401  # isort: skip

    before = _peak()
    if trace:
        tracemalloc.start()
    with redirect_stdout(sys.stderr):
        run(load(config), out, display=False)
    found: dict[str, Any] = {"peak_bytes": _peak(), "imported_bytes": before}
    if trace:
        found["grew"] = _grown(tracemalloc.take_snapshot())
        found["python_peak_bytes"] = tracemalloc.get_traced_memory()[1]
    metrics = read_metrics(out)
    found["overhead"] = overhead(metrics)
    found["clients"] = len(metrics.clients)
    adapters = [out / "adapters" / client.name for client in metrics.clients]
    sizes = [path.stat().st_size for folder in adapters for path in folder.glob("*.safetensors")]
    found["adapter_bytes"] = max(sizes, default=0)
    found["seconds"] = sum(float(record["seconds"]) for record in metrics.rounds.values())
    return found


def _grown(snapshot: Any) -> list[str]:
    return [str(line) for line in snapshot.statistics("lineno")[:12]]


def _peak() -> int:
    """The most memory that this process ever held, in bytes.

    Linux' own mark: that of `getrusage` is inherited from whoever started the process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        # macOS counts bytes, others kilobytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def _make_model(folder: Path) -> None:
    """A Llama of some thousand weights, with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>", "<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(["Which way does the boat take to the northern harbour?"] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<end>")
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)
    fast.save_pretrained(folder)


def _main(arguments: Sequence[str]) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    what, *rest = arguments
    if what == "model":
        _make_model(Path(rest[0]))
        print("{}")
    else:
        print(json.dumps(_run(Path(rest[0]), Path(rest[1]), "trace" in rest[2:])))


if __name__ == "__main__":
    _main(sys.argv[1:])
