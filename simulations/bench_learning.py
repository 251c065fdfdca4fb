"""`renga bench learning`: does the federation teach its clients and its host, and against what?

One client per domain, several seeds, every baseline. A run is a folder of its own, so that a benchmark which
was stopped goes on, and one that is finished is only read.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from renga.config import Config, read_toml, validated
from renga.errors import RengaError, UsageError
from renga.models.data import read_jsonl
from renga.models.example import Example
from renga.simulations.bench_learning_summary import summarise
from renga.simulations.bench_tables import Tell, conditions
from renga.simulations.check import check
from renga.simulations.metrics import Metrics, read_metrics
from renga.simulations.runs import RunFolder, write_whole
from renga.simulations.simulate import run as simulate
from renga.simulations.units import duration

# What a run spends unless `--config` says otherwise: keys of docs/config.md, less what the benchmark sets.
DEFAULTS = """
seed = 7
rounds = 3

[host]
model = "gemma-3-270m"
rank = 16
alpha = 32
learning_rate = 1e-3
tokens = 24_000

[edge]
model = "SmolLM2-135M-Instruct"
rank = 8
alpha = 16
learning_rate = 1e-3
tokens = 16_000
transfer_tokens = 8_000

[baselines]
alone = true
public = true
centralised = true
"""

FILES = ("train.jsonl", "public.jsonl", "validation.jsonl")
_SET = {"name", "faults"}
_SET_IN_TRANSFER = {"data", "validation"}


def bench(
    data: Path, out: Path, *, seeds: int, file: Path | None, tell: Tell, labelled: float = 1.0
) -> dict[str, Any]:
    """Run, or read, one federation per seed under `out`, and say what they say together.

    Of the public texts a share of `labelled` keeps its responses; the others become bare prompts. Raises
    UsageError for data or a config that can't be used, RengaError for what went wrong.
    """
    configs = configs_of(data, seeds, file, public=_public(data, out / "public", labelled))
    runs = run_all(configs, out, tell)
    first = configs[0].model_dump(mode="json")
    settings = {key: first[key] for key in ("rounds", "host", "edge", "transfer", "round", "evaluate")}
    settings["transfer"] = {k: v for k, v in settings["transfer"].items() if k not in _SET_IN_TRANSFER}
    return {
        "benchmark": "learning",
        "seeds": [config.seed for config in configs],
        "labelled": labelled,
        "models": {"edge": configs[0].edge.model, "host": configs[0].host.model},
        "settings": settings,
        "conditions": conditions(),
        **summarise(runs),
    }


def configs_of(data: Path, seeds: int, file: Path | None = None, public: Sequence[Path] = ()) -> list[Config]:
    """A config per seed: a client for each domain in the folder `data`, the budgets of DEFAULTS or `file`.

    Private text is a domain's train.jsonl, the transfer set all public.jsonl together unless `public` names
    other files, held out is validation.jsonl. `file` may hold any key of docs/config.md but those, and a
    table `[clients.DOMAIN]` for what holds for one client alone. Raises UsageError.
    """
    domains = _domains(data)
    text, written = read_toml(file) if file else ("", {})
    path = file or Path("the benchmark's defaults")
    transfer = written.get("transfer", {})
    taken = sorted(_SET & set(written))
    if isinstance(transfer, Mapping):
        taken += [f"transfer.{key}" for key in sorted(_SET_IN_TRANSFER & set(transfer))]
    if taken:
        raise UsageError(f"{path}: {taken[0]} is set by the benchmark itself", hint="leave it out")
    own = written.get("clients", {})
    if not isinstance(own, Mapping) or not all(isinstance(table, Mapping) for table in own.values()):
        raise UsageError(f"{path}: clients are tables by domain", hint=f"write [clients.{domains[0].name}]")
    strange = sorted(set(own) - {domain.name for domain in domains})
    if strange:
        raise UsageError(
            f"{path}: there is no domain {strange[0]!r} in {data}",
            hint=f"domains: {', '.join(domain.name for domain in domains)}",
        )
    merged = _over(tomllib.loads(DEFAULTS), {k: v for k, v in written.items() if k != "clients"})
    if isinstance(merged.get("transfer", {}), Mapping):
        shared = [str(path) for path in public or [domain / "public.jsonl" for domain in domains]]
        merged["transfer"] = {**merged.get("transfer", {}), "data": shared}
    merged["clients"] = [_client(domain, own.get(domain.name, {})) for domain in domains]
    merged["name"] = "bench-learning"
    base = validated(merged, path, text)
    return [base.model_copy(update={"seed": base.seed + n}) for n in range(seeds)]


def _public(data: Path, folder: Path, labelled: float) -> list[Path]:
    """The public texts as a federation gets them: the first of each domain with their responses."""
    if labelled >= 1:
        return []
    files = []
    for domain in _domains(data):
        texts = read_jsonl(domain / "public.jsonl")
        kept = round(labelled * len(texts))
        lines = [_line(text, with_response=place < kept) for place, text in enumerate(texts)]
        folder.mkdir(parents=True, exist_ok=True)
        files.append((folder / f"{domain.name}.jsonl").resolve())
        files[-1].write_text("".join(lines), encoding="utf-8")
    return files


def _line(text: Example, *, with_response: bool) -> str:
    record: dict[str, Any] = {"domain": text.domain, "prompt": text.prompt}
    if with_response:
        record |= {"response": text.response} | ({"choices": list(text.choices)} if text.choices else {})
    return json.dumps(record, ensure_ascii=False) + "\n"


def run_all(configs: Sequence[Config], out: Path, tell: Tell) -> list[Metrics]:
    """What every run measured; those that are not finished under `out` are run, or gone on with, first."""
    missing = [config for config in configs if not _finished(out, config)]
    if missing:
        report = check(missing[0])
        if report.problems:
            raise UsageError(report.problems[0], hint="`renga check` says what a config needs")
        each = f"about {duration(report.seconds)} each" if report.seconds else "of unknown length"
        tell(f"{len(missing)} of {len(configs)} runs to do, {each} with nothing else running")
    found = []
    for config in configs:
        folder = _folder(out, config)
        if config in missing:
            tell(f"seed {config.seed} → {folder}")
            _copy_untouched(_folder(out, configs[0]), folder)
            with redirect_stdout(sys.stderr):  # a single run's tables are no result of the benchmark
                simulate(config, folder, resume=True)
        else:
            with RunFolder(folder).held(config, resume=True):  # refuses a run of another config
                tell(f"seed {config.seed}: read from {folder}")
        found.append(read_metrics(folder))
    return found


def _copy_untouched(first: Path, folder: Path) -> None:
    """What models score before anything is learned depends on no seed: measured in the first run alone."""
    for path in sorted((first / "measured").glob("score-0000-*-before.json")):
        kept = folder / "measured" / path.name
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, path.read_text())


def _folder(out: Path, config: Config) -> Path:
    return out / f"seed-{config.seed}"


def _finished(out: Path, config: Config) -> bool:
    try:
        return bool(read_metrics(_folder(out, config)).end)
    except RengaError:
        return False


def _domains(data: Path) -> list[Path]:
    """Absolute, so that a run is the same one from whatever folder the benchmark is started."""
    shape = f"give a folder with one folder per domain, each with {', '.join(FILES)}"
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder", hint=shape)
    domains = [
        path.resolve()
        for path in sorted(data.iterdir())
        if path.is_dir() and any((path / name).exists() for name in FILES)
    ]
    if len(domains) < 2:
        raise UsageError(f"{data} holds {len(domains)} domains, 2 are needed at least", hint=shape)
    for domain in domains:
        for name in FILES:
            if not (domain / name).is_file():
                raise UsageError(f"{domain.name} has no {name} in {data}", hint=shape)
    return domains


def _client(domain: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    data = {"data": str(domain / "train.jsonl"), "held_out": str(domain / "validation.jsonl")}
    return {**own, "name": domain.name, **data}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above`, and below it what it doesn't say, table by table."""
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            merged[key] = {**below[key], **above[key]}
    return merged
