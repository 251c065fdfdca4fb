"""The strategy: drives rounds over a Flower Grid, performs what a round asks for, writes each one down.

Flower's own `Strategy.start` waits for every reply or the whole timeout, has no quorum and no resume, and
knows one exchange per round; ours has three, so `start` is our own and the two-phase hooks are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from renga.errors import RefusedPayload, RengaError
from renga.models.adapter import Adapter
from renga.models.alignment import Crosswalk
from renga.models.example import Example
from renga.models.seeds import derived
from renga.models.vocabulary import Vocabulary
from renga.protocol.envelope import opened, sealed
from renga.protocol.gather import Gathered, gather, gather_as, wait_for_nodes
from renga.protocol.messages import Description, JudgeRequest, LearnRequest
from renga.protocol.names import node_id
from renga.protocol.published import showing
from renga.server.host import Host
from renga.server.plan import (
    Ask,
    Blob,
    Effect,
    Heard,
    HostLearned,
    HostLosses,
    HostRows,
    Outcome,
    Participant,
    Plan,
    Settings,
    TeachHost,
)
from renga.server.round import play
from renga.server.selection import misfits
from renga.server.state import ServerState, Standing

log = getLogger("renga.server")


@dataclass(frozen=True)
class Timing:
    """Seconds that clients have for one step of a round, and that the last ones get after the quorum."""

    deadline: float
    grace: float


@dataclass(frozen=True)
class Told:
    """What a listener hears: a round begins, a step's replies arrive, clients (name: reason) are left out,
    a round is finished."""

    what: str  # "round" | "asked" | "reply" | "left_out" | "finished"
    round: int
    about: Mapping[str, Any]


class Federation(Strategy):
    """Clients and a host that learn from each other (see `server/round.py`).

    clients: names of those who should take part, asked before every round: who comes late joins the next.
    transfer: the public set, the same on all sides, with its fingerprint.
    slice_size, questions: labelled texts and bare prompts per round, 0 for all.
    vocabulary_of: the vocabulary of a described client.
    publish: the signed link that says what was shown in a round, by `protocol.published.showing`.
    """

    def __init__(
        self,
        *,
        clients: Callable[[], Sequence[str]],
        rounds: int,
        seed: int,
        transfer: Sequence[Example],
        transfer_fingerprint: str,
        slice_size: int,
        questions: int,
        settings: Settings,
        timing: Timing,
        host: Host,
        vocabulary_of: Callable[[Description], Vocabulary],
        state: ServerState,
        listen: Callable[[Told], None] | None = None,
        publish: Callable[[int, Mapping[str, str]], bytes] | None = None,
    ) -> None:
        self._clients = clients
        self._described: dict[str, Description] = {}
        self._rounds = rounds
        self._seed = seed
        self._transfer = transfer
        self._transfer_fingerprint = transfer_fingerprint
        self._slice_size = slice_size
        self._questions = questions
        self._settings = settings
        self._timing = timing
        self._host = host
        self._vocabulary_of = vocabulary_of
        self._state = state
        self._listen = listen or (lambda told: None)
        self._publish = publish
        self._shown: dict[str, str] = {}
        self._crosswalks: dict[str, Crosswalk] = {}

    def summary(self) -> None:
        """Log what this federation is."""
        log.info(
            "%d clients, %d rounds, %d public texts", len(self._clients()), self._rounds, len(self._transfer)
        )

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord | None = None,
        num_rounds: int = 0,
        timeout: float = 3600.0,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Play the rounds that are still to be played. Only `grid` is used: all else is in the state.

        Raises RoundAbandoned when a round falls short of its quorum, RengaError when it can't be written.
        """
        self.summary()
        standing = self._state.standing()
        self._host.adapter = standing.host
        if standing.round < self._rounds:
            for round in range(standing.round + 1, self._rounds + 1):
                described, silent = self._describe(grid, round)
                self._listen(Told("round", round, {}))
                plan = self._plan(round, standing, described)
                self._shown = {}
                outcome, host = self._play(grid, plan)
                record = dict(outcome.record)
                if out := {n: c["reason"] for n, c in record["clients"].items() if c["status"] != "ok"}:
                    self._listen(Told("left_out", round, out))
                for name, reason in silent.items():
                    record["clients"][name] = {"status": "refused", "reason": reason}
                standing = _after(standing, outcome, plan.round, host)
                link = self._publish(round, self._shown) if self._publish else b""
                self._state.finish(standing, record, link)
                self._host.adapter = standing.host
                self._listen(Told("finished", round, record))
        return Result()

    def _describe(self, grid: Grid, round: int) -> tuple[dict[str, Description], dict[str, str]]:
        """Who takes part in the next round; and who can't, with the reason.

        Only those who have not said yet who they are are asked, so that a fixed set costs one question.
        """
        names = sorted(self._clients())
        present = set(self._present(grid, names))
        silent = {name: "is not here" for name in names if name not in present}
        new = [name for name in names if name in present and name not in self._described]
        if new:
            silent |= self._ask_who(grid, new)
        described = {name: who for name, who in self._described.items() if name in names}
        for name, reason in misfits(described).items():
            silent[name] = reason
            del described[name]
        for name, reason in silent.items():
            log.info("%s can't take part: %s", name, reason)
        if silent:
            self._listen(Told("left_out", round, silent))
        described = {name: who for name, who in described.items() if name not in silent}
        if len(described) < self._settings.quorum:
            raise RengaError(
                f"{len(described)} of {len(names)} clients can take part, "
                f"{self._settings.quorum} are needed: "
                + "; ".join(f"{name}: {reason}" for name, reason in silent.items())
            )
        return described, silent

    def _present(self, grid: Grid, names: Sequence[str]) -> list[str]:
        """Those of `names` that are connected: all, or once the deadline is over as many as the quorum."""
        try:
            wait_for_nodes(grid, names, timeout=self._timing.grace)
        except RengaError:
            wait_for_nodes(grid, min(self._settings.quorum, len(names)), timeout=self._timing.deadline)
        there = set(grid.get_node_ids())
        return [name for name in names if node_id(name) in there]

    def _ask_who(self, grid: Grid, names: Sequence[str]) -> dict[str, str]:
        """Ask clients who they are, and remember what they say; why others were not believed."""
        empty = np.zeros(0, np.uint8)
        ttl = self._timing.deadline * 2
        requests = [sealed("describe", empty, node_id(name), round=0, ttl=ttl) for name in names]
        gathered = gather(
            grid,
            requests,
            deadline=self._timing.deadline,
            quorum=min(self._settings.quorum, len(names)),
            grace=self._timing.grace,
        )
        silent: dict[str, str] = {}
        for name in names:
            node = node_id(name)
            if node not in gathered.replies:
                silent[name] = gathered.errors.get(node, "did not say who it is in time")
                continue
            try:
                who = Description.decode(opened(gathered.replies[node]))
                if who.name != name:
                    raise RefusedPayload(f"says it is {who.name!r}")
                if who.transfer != self._transfer_fingerprint:
                    raise RefusedPayload("holds another transfer set than the server")
                if self._vocabulary_of(who).fingerprint != who.vocabulary:
                    raise RefusedPayload(f"its vocabulary is not that of {who.model}")
                self._described[name] = who
            except RengaError as error:
                silent[name] = error.message
        return silent

    def _plan(self, round: int, standing: Standing, described: Mapping[str, Description]) -> Plan:
        return Plan(
            round=round,
            attempt=self._state.begin(round),
            seed=self._seed,
            participants={
                name: Participant(
                    who, self._vocabulary_of(who), standing.since.get(name), standing.holds.get(name)
                )
                for name, who in described.items()
            },
            transfer=self._transfer,
            slice=self._slice(round),
            adapters=standing.adapters,
            adopted=standing.adopted,
            host=self._host.weights.reference,
            host_vocabulary_size=self._host.weights.vocabulary.size,
            settings=self._settings,
        )

    def _slice(self, round: int) -> list[int]:
        """This round's texts, those with a response and those without apart: each in a seeded order, so
        many after so many, round and round."""
        chosen: list[int] = []
        for bare, size in ((False, self._slice_size), (True, self._questions)):
            places = [i for i, text in enumerate(self._transfer) if (text.response is None) == bare]
            if not size or size >= len(places):
                chosen += places
                continue
            order = np.random.default_rng(derived(self._seed, "slice", bare)).permutation(len(places))
            turn = (np.arange(size) + (round - 1) * size) % len(places)
            chosen += [places[i] for i in order[turn]]
        return sorted(chosen)

    def _play(self, grid: Grid, plan: Plan) -> tuple[Outcome, Adapter | None]:
        game = play(plan)
        result: Any = None
        learned = self._host.adapter
        while True:
            try:
                effect = game.send(result)
            except StopIteration as stop:
                return stop.value, learned
            if isinstance(effect, TeachHost):
                learned, record = self._host.learn(
                    effect.lessons,
                    lambda name: self._crosswalk(plan.participants[name].vocabulary),
                    derived(plan.seed, "host", plan.round),
                )
                result = HostLearned(record)
            else:
                result = self._perform(grid, plan, effect)

    def _crosswalk(self, teacher: Vocabulary) -> Crosswalk:
        if teacher.fingerprint not in self._crosswalks:
            self._crosswalks[teacher.fingerprint] = Crosswalk(teacher, self._host.weights.vocabulary)
        return self._crosswalks[teacher.fingerprint]

    def _perform(self, grid: Grid, plan: Plan, effect: Effect) -> Any:
        match effect:
            case Ask():
                return self._ask(grid, plan, effect)
            case HostLosses():
                return self._host.losses(effect.texts)
            case HostRows():
                return self._host.rows(effect.texts)
            case _:
                raise TypeError(f"a round can't ask for {type(effect).__name__}")

    def _ask(self, grid: Grid, plan: Plan, ask: Ask) -> Heard:
        names = {node_id(name): name for name in ask.requests}
        if self._publish:
            self._note(ask)
        ttl = self._timing.deadline * 2
        messages = (
            sealed(ask.kind, blob, node_id(name), round=plan.round, ttl=ttl)
            for name, blob in ask.requests.items()
        )
        self._listen(Told("asked", plan.round, {"kind": ask.kind, "bytes": _bytes(ask.requests)}))
        gathered = gather_as(
            self._kept,
            grid,
            messages,
            deadline=self._timing.deadline,
            quorum=min(self._settings.quorum, len(ask.requests)),
            grace=self._timing.grace,
            on_reply=lambda node, _: self._listen(
                Told("reply", plan.round, {"kind": ask.kind, "client": names.get(node, "?")})
            ),
        )
        heard = _heard(gathered, names)
        for name, (status, reason) in heard.missing.items():
            log.info("round %d: %s left out (%s): %s", plan.round, name, status, reason)
        return heard

    def _kept(self, reply: Message) -> Blob | RefusedPayload:
        try:
            return self._state.set_aside(opened(reply))
        except RefusedPayload as error:
            return error

    def _note(self, ask: Ask) -> None:
        """Remember which adapters clients are about to be shown, as they will read them."""
        for blob in {id(blob): blob for blob in ask.requests.values()}.values():
            if ask.kind == "learn":
                learn = LearnRequest.decode(blob)
                attempt, adapter = learn.attempt, learn.adapter
            elif ask.kind == "judge":
                judge = JudgeRequest.decode(blob)
                attempt, adapter = judge.attempt, judge.adapter
            else:
                return
            if adapter is not None:
                name, digest = showing(ask.kind, attempt, adapter)
                self._shown[name] = digest

    # Flower's hooks for its own two-phase `start`, which is not used.

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nothing: a round of ours is played by `start`."""
        return []

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Nothing: see `configure_train`."""
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nothing: see `configure_train`."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing: see `configure_train`."""
        return None


def _heard(gathered: Gathered[Blob | RefusedPayload], names: Mapping[int, str]) -> Heard:
    replies, missing = {}, {}
    for node, kept in gathered.replies.items():
        if isinstance(kept, RefusedPayload):
            missing[names[node]] = ("refused", kept.message)
        else:
            replies[names[node]] = kept
    missing |= {names[node]: ("failed", reason) for node, reason in gathered.errors.items()}
    missing |= {names[node]: ("late", "no reply in time") for node in gathered.pending}
    return Heard(replies, missing)


def _after(before: Standing, outcome: Outcome, round: int, host: Adapter | None) -> Standing:
    people = outcome.participants
    return Standing(
        round=round,
        host=host,
        adapters=outcome.adapters,
        adopted=outcome.adopted,
        since={**before.since, **{name: p.since for name, p in people.items() if p.since is not None}},
        holds={**before.holds, **{name: p.holds for name, p in people.items() if p.holds is not None}},
    )


def _bytes(requests: Mapping[str, np.ndarray]) -> dict[str, int]:
    return {name: int(blob.nbytes) for name, blob in requests.items()}
