"""`renga simulate`: a whole federation on this machine, from a config to a report.

The apps are those that run anywhere; what is added here is what only a simulation can do: see every side.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from flwr.app import Context
from flwr.serverapp import Grid

from renga.client.app import client_app
from renga.client.member import Member
from renga.client.state import ClientState
from renga.config import Config
from renga.models.adapter import Adapter
from renga.models.adapter_files import save_peft
from renga.models.evaluation import evaluate_domains
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.seeds import derived
from renga.models.weights import SharedWeights
from renga.protocol.local_carrier import LocalGrid, run_server, server_context
from renga.server.app import server_app
from renga.server.state import ServerState
from renga.server.strategy import Told
from renga.simulations import events
from renga.simulations.baselines import alone, host_on
from renga.simulations.build import Models, Texts, build_federation, build_host, build_member, read_texts
from renga.simulations.display import progress, show_results
from renga.simulations.events import Emit
from renga.simulations.faults import answering, carrier_faults, lies
from renga.simulations.metrics import read_metrics
from renga.simulations.report import write_report
from renga.simulations.runs import Record, RunFolder

log = getLogger("renga.simulations")

Carrier = Literal["local", "ray"]


def run(
    config: Config, out: Path, *, resume: bool = False, display: bool = True, carrier: Carrier = "local"
) -> dict[str, Any]:
    """Run the federation of `config`, with results in the folder `out`; what `--json` prints.

    carrier: "local", all in this process, or "ray", the clients in Ray's (`simulations/ray_carrier.py`).

    Raises UsageError for what is wrong with the config or its data, RengaError for what went wrong.
    """
    if carrier == "ray":
        from renga.simulations.ray_carrier import require_ray

        require_ray()  # before anything dear begins
    texts = read_texts(config)
    folder = RunFolder(out)
    with folder.held(config, resume=resume):
        torch.set_num_threads(config.threads or os.cpu_count() or 1)
        with progress() if display else nullcontext(lambda event: None) as emit:
            simulation = _Simulation(config, texts, folder, emit, carrier)
            summary = simulation.run()
        write_report(out)
        if display:
            show_results(read_metrics(out))
            print(f"report: {out / 'report.html'}")
    return summary


@dataclass
class _Simulation:
    config: Config
    texts: Texts
    folder: RunFolder
    emit: Emit
    carrier: Carrier
    _started: float = field(default_factory=time.perf_counter)
    _round_started: tuple[float, float] = (0.0, 0.0)

    def run(self) -> dict[str, Any]:
        config, emit = self.config, self.emit
        emit(
            events.RunStarted(
                name=config.name,
                rounds=config.rounds,
                clients=tuple(client.name for client in config.clients),
                host=config.host.model,
                edge_models={client.name: client.edge.model for client in config.clients},
                folder=str(self.folder.folder),
            )
        )
        self.models = Models(lambda reference: emit(events.Stage(f"loading {reference}")))
        self.host = build_host(config, self.texts, self.models, self._host_progress())
        self.members = {
            client.name: build_member(
                config, client, self.texts, self.models, self.folder.clients, self._client_progress()
            )
            for client in config.clients
        }
        self.state = ServerState(self.folder.state)
        self._score_untouched()
        self._after_round(self.state.standing().round)
        self._write_metrics()
        self._play()
        self._score_round(config.rounds)
        self._score_baselines()
        self._export()
        self._finish()
        return {"folder": str(self.folder.folder), **self.folder.measured("z-end", dict)}

    def _play(self) -> None:
        """The federation itself, over its carrier."""
        federation = build_federation(
            self.config, self.texts, self.models, self.host, self.state, self._listen
        )
        if self.state.standing().round >= self.config.rounds:
            return
        with self._grid() as grid:
            run_server(server_app(lambda context: federation), grid, server_context())

    @contextmanager
    def _grid(self) -> Iterator[Grid]:
        if self.carrier == "ray":
            from renga.simulations.ray_carrier import ray_grid

            written = self.folder.written_for_others(self.config)
            with ray_grid(self.config, written, self.folder.folder, self._client_progress()) as grid:
                yield grid
            return
        told_lies = lies(self.config.faults)
        members = {name: answering(member, told_lies.get(name)) for name, member in self.members.items()}

        def resolve(context: Context) -> Member:
            return cast(Member, members[str(context.node_config["name"])])

        yield LocalGrid(
            client_app(resolve),
            {name: {} for name in members},
            fault=carrier_faults(self.config.faults, self.config.network, self.config.seed),
            on_failure=self._note_failure,
        )

    def _note_failure(self, name: str, trace: str) -> None:
        """The client's own log, `clients/NAME/failures.log`; the server hears no more than one line."""
        log.info("%s failed:\n%s", name, trace)
        with suppress(OSError), open(self.folder.clients / name / "failures.log", "a") as file:
            file.write(trace)

    def _listen(self, told: Told) -> None:
        if told.what == "round":
            self._round_started = (time.perf_counter(), self.models.seconds())
            self.emit(events.RoundStarted(told.round))
        elif told.what == "finished":
            start, torch_start = self._round_started
            seconds = time.perf_counter() - start
            timing = {"seconds": seconds, "torch_seconds": self.models.seconds() - torch_start}
            self.folder.note(f"timing-{told.round:04d}", {"kind": "timing", "round": told.round, **timing})
            _tell(self.emit, told.round, told.about, seconds)
            self._after_round(told.round)
            self._write_metrics()

    def _after_round(self, round: int) -> None:
        """What must be looked at before the next round changes it; again, if a kill came between."""
        if round == 1:
            self._note_first_steps()
        if round and self.config.evaluate.every:
            self._score_round(round)

    def _note_first_steps(self) -> None:
        # Up to its first private step a federated client is the client alone; the baseline goes on there.
        for name, member in self.members.items():
            since = self.state.standing().since.get(name)
            if (
                self.config.baselines.alone
                and since
                and since[0] == 1
                and member.state.has(since, "snapshot")
            ):
                self._alone_state(name).save((1, 0), "alone", member.state.load(since, "snapshot"))

    def _score_untouched(self) -> None:
        by_model: dict[str, Record] = {}
        for name, member in self.members.items():
            reference = member.weights.reference
            first = None if self.config.evaluate.others else by_model.get(reference)
            by_model[reference] = self._scored(0, name, "before", member.weights, lambda: None, copy=first)
        self._scored(0, "host", "before", self.host.weights, lambda: None)

    def _score_round(self, round: int) -> None:
        standing = self.state.standing()
        for name, member in self.members.items():
            since = standing.since.get(name)
            kept = member.state.load(since, "kept") if since else None
            self._scored(round, name, "federated", member.weights, partial(_same, kept))
        self._scored(round, "host", "federated", self.host.weights, lambda: standing.host)

    def _score_baselines(self) -> None:
        config, rounds = self.config, self.config.rounds
        if config.baselines.alone:
            for name, member in self.members.items():
                self._scored(rounds, name, "alone", member.weights, partial(self._alone, name))
        labelled = [e for e in self.texts.transfer if e.response is not None]
        if config.baselines.public and labelled:
            self._scored(
                rounds,
                "host",
                "public",
                self.host.weights,
                lambda: host_on(self.host, labelled, rounds, config.seed),
            )
        if config.baselines.centralised:
            everything = labelled + [e for texts in self.texts.private.values() for e in texts]
            self._scored(
                rounds,
                "host",
                "centralised",
                self.host.weights,
                lambda: host_on(self.host, everything, rounds, config.seed),
            )

    def _alone(self, name: str) -> Adapter:
        self.emit(events.Stage(f"training {name} alone, to compare"))
        state = self._alone_state(name)
        first = state.load((1, 0), "alone") if state.has((1, 0), "alone") else None
        return alone(self.members[name], self.config.rounds, self.config.seed, first)

    def _alone_state(self, name: str) -> ClientState:
        folder = self.folder.folder / "alone" / name
        folder.mkdir(parents=True, exist_ok=True)
        return ClientState(folder)

    def _scored(
        self,
        round: int,
        who: str,
        stage: str,
        weights: SharedWeights,
        adapter: Callable[[], Adapter | None],
        copy: Record | None = None,
    ) -> Record:
        def measure() -> Record:
            if copy is not None:
                return {**copy, "who": who}
            worn = adapter()
            self.emit(events.Stage(f"scoring {who}: {stage}"))
            scores = evaluate_domains(
                LocalModel(weights, worn),
                self._held_out(who),
                batch=self.config.evaluate.batch,
                accuracy=self.config.evaluate.accuracy,
                free=self.config.evaluate.free,
                tick=lambda done, total: self.emit(events.Step(who, "scoring", done, total)),
            )
            found = {domain: score.as_dict() for domain, score in scores.items()}
            return {"kind": "score", "round": round, "who": who, "stage": stage, "scores": found}

        record = self.folder.measured(f"score-{round:04d}-{who}-{stage}", measure)
        self.emit(events.Scored(who, stage, record["scores"]))
        return record

    def _held_out(self, who: str) -> Mapping[str, Sequence[Example]]:
        """By domain the texts that `who` is measured on."""
        found, count = self.texts.held_out, self.config.evaluate.others
        if not count or who not in found:
            return found
        return {who: found[who], **spread(found, who, count, derived(self.config.seed, "others", who))}

    def _export(self) -> None:
        """Adapters that peft loads: each client's, each cohort's, the host's."""
        standing = self.state.standing()
        for leftover in self.folder.adapters.glob(".*"):  # of a process that was killed here
            shutil.rmtree(leftover)
        for name, member in self.members.items():
            if since := standing.since.get(name):
                save_peft(
                    member.state.load(since, "kept"), self.folder.adapters / name, member.weights.reference
                )
        references = {m.weights.fingerprint: m.weights.reference for m in self.members.values()}
        for cohort, adapter in standing.adapters.items():
            save_peft(adapter, self.folder.adapters / f"cohort-{cohort[:12]}", references[cohort])
        if standing.host is not None:
            save_peft(standing.host, self.folder.adapters / "host", self.config.host.model)

    def _finish(self) -> None:
        rounds = self.state.records()
        totals = {
            f"bytes_{direction}": sum(
                sum(client.get(f"bytes_{direction}", {}).values())
                for record in rounds
                for client in record["clients"].values()
            )
            for direction in ("up", "down")
        }
        seconds = time.perf_counter() - self._started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        end = {
            "kind": "end",
            "seconds": seconds,
            "torch_seconds": self.models.seconds(),
            "peak_memory_bytes": peak,
        }
        self.folder.measured("z-end", lambda: end | totals)
        self._write_metrics()
        self.emit(events.RunFinished(str(self.folder.folder), seconds))

    def _write_metrics(self) -> None:
        noted = self.folder.noted()
        timings = {record["round"]: record for record in noted if record["kind"] == "timing"}
        rounds = [
            {"kind": "round", "round": number, **record}
            | {key: timings.get(number, {}).get(key) for key in ("seconds", "torch_seconds")}
            for number, record in enumerate(self.state.records(), start=1)
        ]
        scores = sorted((r for r in noted if r["kind"] == "score"), key=lambda r: r["round"])
        ends = [record for record in noted if record["kind"] == "end"]
        self.folder.write_metrics([self._about(), *rounds, *scores, *ends])

    def _about(self) -> Record:
        cohorts: dict[str, list[str]] = {}
        for name, member in self.members.items():
            cohorts.setdefault(member.weights.fingerprint[:12], []).append(name)
        clients = [
            {
                "name": client.name,
                "model": client.edge.model,
                "rank": client.edge.rank,
                "alpha": client.edge.alpha,
                "texts": len(self.texts.private[client.name]),
                "domain": client.name,
            }
            for client in self.config.clients
        ]
        return {
            "kind": "run",
            "name": self.config.name,
            "seed": self.config.seed,
            "rounds": self.config.rounds,
            "clients": clients,
            "host": {"model": self.config.host.model, "rank": self.config.host.rank},
            "cohorts": cohorts,
        }

    def _client_progress(self) -> Callable[[str, str, int, int, float | None, int], None]:
        read: dict[tuple[str, str], int] = {}

        def report(who: str, phase: str, step: int, steps: int, loss: float | None, tokens: int) -> None:
            read[who, phase] = tokens + (0 if step <= 1 else read.get((who, phase), 0))
            self.emit(events.Step(who, cast(events.Phase, phase), step, steps, loss, read[who, phase]))

        return report

    def _host_progress(self) -> Callable[[str, int, int, float | None, int], None]:
        report = self._client_progress()
        return lambda phase, step, steps, loss, tokens: report("host", phase, step, steps, loss, tokens)


def spread(
    held_out: Mapping[str, Sequence[Example]], who: str, count: int, seed: int
) -> dict[str, Sequence[Example]]:
    """About `count` texts of the domains that are not `who`'s, as many of each as of any other.

    With more domains than texts some are drawn by `seed`, with one text each: what measuring all clients
    costs grows with their number, and not with its square.
    """
    others = [name for name in held_out if name != who]
    each = max(1, round(count / max(1, len(others))))
    drawn = np.random.default_rng(seed).permutation(len(others))[: max(1, count // each)]
    return {others[i]: held_out[others[i]][:each] for i in sorted(drawn)}


def _same(adapter: Adapter | None) -> Adapter | None:
    return adapter


def _tell(emit: Emit, round: int, record: Mapping[str, Any], seconds: float) -> None:
    """What is worth telling of a finished round."""
    total = {"up": 0, "down": 0}
    for name, client in record["clients"].items():
        if client["status"] != "ok":
            emit(events.LeftOut(round, name, client["reason"]))
        for direction in ("up", "down"):
            for kind, count in client.get(f"bytes_{direction}", {}).items():
                emit(events.Traffic(name, direction, kind, count))
                total[direction] += count
    for cohort, merge in record["merges"].items():
        emit(events.Merged(round, cohort[:12], tuple(merge["clients"]), merge["error"], merge["rank"]))
        gate = events.Gate(
            round, cohort[:12], merge["adopted"], merge.get("before"), merge.get("after"), merge["reason"]
        )
        emit(gate)
    host = record["host"]
    emit(events.Gate(round, "host", host["adopted"], host.get("before"), host.get("after"), host["reason"]))
    emit(events.RoundFinished(round, seconds, total["up"], total["down"]))
