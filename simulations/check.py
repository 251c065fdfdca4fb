"""Everything that can fail cheaply, before anything dear begins; and what a run would take.

All problems are found in one go, not the first alone. A problem would stop the run or make its result
worthless; a note is something that its owner may have meant.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from renga.config import Config
from renga.errors import RengaError
from renga.models.data import read_examples
from renga.models.example import Example
from renga.simulations import forecast
from renga.simulations.estimate import Shape, shape_of
from renga.simulations.forecast import Data, Participant, adapted
from renga.simulations.units import size


@dataclass(frozen=True)
class Report:
    """What `renga check` found. Estimates are None where a model or data is missing."""

    participants: tuple[Participant, ...]
    transfer_texts: int
    bare_prompts: int
    memory_bytes: int | None
    seconds: float | None
    disk_bytes: int | None
    bytes_per_round: int | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return asdict(self)


@dataclass
class _Findings:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self, error: RengaError) -> None:
        line = f"{error.message} ({error.hint})" if error.hint else error.message
        if line not in self.problems:
            self.problems.append(line)

    def read(self, path: Path) -> list[Example]:
        try:
            return read_examples(path)
        except RengaError as error:
            self.told(error)
            return []


def check(config: Config, *, out: Path | None = None) -> Report:
    """Look at everything `config` names. Nothing is raised for what is wrong: it is in the report."""
    found = _Findings()
    data = _read(config, found)
    _look_at_data(config, data, found)
    shapes = _shapes(config, found)
    _look_at_ranks(config, shapes, found)
    _look_at_round(config, data, found)
    folder = out or Path("runs") / config.name
    if (folder / "config.toml").exists():
        found.notes.append(f"{folder} holds a run: go on with --resume, or name another folder with --out")
    participants = tuple(forecast.participants(config, data, shapes))
    complete = not found.problems
    memory = forecast.memory(config, data, shapes) if complete else None
    disk = forecast.disk(config, participants) if complete else None
    _look_at_machine(folder, memory, disk, found)
    return Report(
        participants=participants,
        transfer_texts=len(data.transfer),
        bare_prompts=sum(example.response is None for example in data.transfer),
        memory_bytes=memory,
        seconds=forecast.seconds(config, data, shapes) if complete else None,
        disk_bytes=disk,
        bytes_per_round=forecast.traffic(participants) if complete else None,
        problems=tuple(found.problems),
        notes=tuple(found.notes),
    )


def _read(config: Config, found: _Findings) -> Data:
    once = {path: found.read(path) for path in dict.fromkeys(_paths(config))}
    return Data(
        private={client.name: once[client.data] for client in config.clients},
        held_out={client.name: once[client.held_out] for client in config.clients},
        transfer=[example for path in config.transfer.data for example in once[path]],
        validation=[example for path in config.transfer.validation for example in once[path]],
    )


def _paths(config: Config) -> Iterable[Path]:
    for client in config.clients:
        yield from (client.data, client.held_out)
    yield from (*config.transfer.data, *config.transfer.validation)


def _look_at_data(config: Config, data: Data, found: _Findings) -> None:
    sharing: dict[Path, list[str]] = defaultdict(list)
    for client in config.clients:
        sharing[client.data].append(client.name)
    for path, names in sharing.items():
        texts = sum(example.response is not None for example in data.private[names[0]])
        if len(names) > 1 and texts < len(names):
            found.problems.append(
                f"more clients than data: {len(names)} clients share {path}, which has {texts} texts"
            )
        elif len(names) > 1:
            found.notes.append(f"{len(names)} clients learn from the same file: {', '.join(names)}")
    for client in config.clients:
        private, held_out = data.private[client.name], data.held_out[client.name]
        bare = _bare(private)
        if private and bare == len(private):
            found.problems.append(f"client {client.name}: no text with a response in {client.data}")
        elif bare:
            found.notes.append(f"client {client.name}: {bare} lines of {client.data} have no response")
        if _bare(held_out):
            found.problems.append(
                f"client {client.name}: {_bare(held_out)} lines of {client.held_out} have no response"
            )
        if same := _shared(held_out, private):
            found.problems.append(
                f"client {client.name}: {same} held-out questions are in its training text too"
            )
        if same := _shared(held_out, data.transfer):
            found.notes.append(
                f"client {client.name}: {same} held-out questions are also in the transfer set"
            )
    if bare := _bare(data.validation):
        found.problems.append(f"transfer.validation: {bare} texts have no response")
    if same := _shared(data.validation, data.transfer):
        found.notes.append(f"{same} validation texts are also in the transfer set: the gate will be lenient")


def _bare(examples: Sequence[Example]) -> int:
    return sum(example.response is None for example in examples)


def _shared(some: Sequence[Example], others: Sequence[Example]) -> int:
    known = {example.prompt for example in others}
    return sum(example.prompt in known for example in some)


def _look_at_round(config: Config, data: Data, found: _Findings) -> None:
    transfer = config.transfer
    if not transfer.data:
        found.notes.append(
            "no transfer set: clients and host can't learn from each other, only adapters are merged"
        )
    elif not transfer.validation:
        found.notes.append(
            "transfer.validation is empty: some labelled public text is set apart for the host's gate"
        )
    labelled = sum(example.response is not None for example in data.transfer)
    if data.transfer and transfer.slice > labelled:
        found.notes.append(
            f"transfer.slice = {transfer.slice}, but there are {labelled} texts with a response: all are used"
        )
    bases = Counter(client.edge.model for client in config.clients)
    if alone := [model for model, count in bases.items() if count == 1]:
        found.notes.append(f"only one client has {', '.join(alone)}: its adapter is merged with nobody's")


def _shapes(config: Config, found: _Findings) -> dict[str, Shape]:
    """The models that could be looked at, by reference."""
    shapes = {}
    for reference in dict.fromkeys((config.host.model, *(client.edge.model for client in config.clients))):
        try:
            shapes[reference] = shape_of(reference)
        except RengaError as error:
            found.told(error)
    return shapes


def _look_at_ranks(config: Config, shapes: Mapping[str, Shape], found: _Findings) -> None:
    sides = [("host", config.host.model, config.host.rank, config.host.modules)]
    sides += [
        (client.name, client.edge.model, client.edge.rank, client.edge.modules) for client in config.clients
    ]
    for name, model, rank, modules in sides:
        if model not in shapes:
            continue
        layers = adapted(shapes[model], modules)
        if not layers:
            found.problems.append(f"{name}: {model} has no layers for modules = {modules!r}")
        elif rank > (most := min(min(shapes[model].linear[path]) for path in layers)):
            found.problems.append(f"{name}: rank {rank} is more than the layers of {model} have ({most})")


def _look_at_machine(folder: Path, memory: int | None, disk: int | None, found: _Findings) -> None:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    room = shutil.disk_usage(there).free
    if disk is not None and room < disk:
        found.problems.append(
            f"no space on {there}: the run writes about {size(disk)}, {size(room)} are free"
        )
    if not os.access(there, os.W_OK):
        found.problems.append(f"{there} can't be written to")
    if memory is not None and (free := _free_memory()) and free < memory:
        found.notes.append(f"the run takes about {size(memory)} of memory, {size(free)} are free now")


def _free_memory() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("MemAvailable:")), "")
    return int(line.split()[1]) * 1024 if line else None
