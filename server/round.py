"""One turn of learning, as a state machine without I/O.

`play` is a generator: it yields what it needs done (`Ask` the clients, have the host read or learn), is sent
the results, and returns the `Outcome`. It knows neither Flower nor files nor models, so every carrier and
every test drives the same round; and a round that does not return has never happened.

The five steps (docs/round.md):

1. learn: clients get the host's losses on this round's public texts, train on their own texts, freeze what
   they then are, and say their losses, their answers to bare prompts, and whose rows they want.
2. who knows best is chosen per text; answers are settled.
3. exchange: clients get the host's rows they wanted and others' answers, learn from them, and give their
   frozen rows where they know best, and their adapter.
4. judge: each cohort's adapters are merged; the cohort's clients judge the result on held-out text of their
   own, and the gate adopts it or not.
5. the host learns from the rows and answers, behind a gate of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload, RengaError
from renga.models.adapter import Adapter, checked
from renga.models.carried import from_wire, to_wire
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.vocabulary import Vocabulary
from renga.protocol.messages import (
    Description,
    ExchangeReply,
    ExchangeRequest,
    JudgeReply,
    JudgeRequest,
    LearnReply,
    LearnRequest,
    SettledAnswer,
    sizes,
)
from renga.server.merging.average import average, truncate
from renga.server.selection import Settled, best_teachers, experts, settle

# A claimed loss and the rows that carry it differ by the coding of log-probabilities only.
CLAIM_TOLERANCE = 0.02  # share of the claim, plus as many bits per byte

# Nobody checks how many texts a client says it has: it counts at most so many times as much as the middle
# one of its cohort, in the merge and in the vote on it.
MOST_OF_MIDDLE = 10.0

Blob = NDArray[np.uint8]
Turn = tuple[int, int]  # (round, attempt)


@dataclass(frozen=True)
class Settings:
    """What every round of a federation has in common."""

    quorum: int
    top_k: int = 16
    floor: float = 1e-4
    distillation: float = 0.5
    temperature: float = 1.0
    agreement: float = 0.5
    answer_tokens: int = 16
    rank: int = 0
    tolerance: float = 0.0
    coding: str = "blocks8"


@dataclass(frozen=True)
class Participant:
    """A client as the server knows it: the turn it last finished, and the adopted merge it has a copy of."""

    description: Description
    vocabulary: Vocabulary
    since: Turn | None = None
    holds: Turn | None = None

    @property
    def cohort(self) -> str:
        return self.description.base


@dataclass(frozen=True)
class Plan:
    """All that a round depends on."""

    round: int
    attempt: int
    seed: int
    participants: Mapping[str, Participant]
    transfer: Sequence[Example]
    slice: Sequence[int]
    adapters: Mapping[str, Adapter]  # by cohort, as adopted so far
    adopted: Mapping[str, Turn]
    host: str
    host_vocabulary_size: int
    settings: Settings

    @property
    def turn(self) -> Turn:
        return (self.round, self.attempt)


@dataclass(frozen=True)
class Ask:
    """Send these to clients, by name; the result is `Heard`."""

    kind: str
    requests: Mapping[str, Blob]


@dataclass(frozen=True)
class Heard:
    """What clients replied, and why the others did not: name -> (status "late" | "failed", reason)."""

    replies: Mapping[str, Blob]
    missing: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class HostLosses:
    """Let the host read these texts; the result is its losses, [texts] float32, bits per byte."""

    texts: Sequence[Example]


@dataclass(frozen=True)
class HostRows:
    """Let the host say its rows of these texts; the result is a list of Rows."""

    texts: Sequence[Example]


@dataclass(frozen=True)
class Teaching:
    """A public text for the host: with the rows of the client who knows it best, if one does.

    `settled`: it is a bare prompt with the answer that stands for it.
    """

    text: Example
    teacher: str = ""
    rows: Rows | None = None
    weight: float = 1.0
    settled: bool = False


@dataclass(frozen=True)
class TeachHost:
    """Let the host learn; the result is `HostLearned`."""

    lessons: Sequence[Teaching]


@dataclass(frozen=True)
class HostLearned:
    """What became of it. `record` is what the metrics say: losses, validation, whether adopted and why."""

    record: Mapping[str, Any]


Effect = Ask | HostLosses | HostRows | TeachHost


@dataclass(frozen=True)
class Outcome:
    """A finished round: what to keep, and what to tell."""

    adapters: Mapping[str, Adapter]
    adopted: Mapping[str, Turn]
    participants: Mapping[str, Participant]
    record: Mapping[str, Any]


class RoundAbandoned(RengaError):
    """Too few clients finished a step; nothing of the round was kept."""


def play(plan: Plan) -> Generator[Effect, Any, Outcome]:
    """The round `plan` describes. Raises RoundAbandoned when fewer than the quorum are left."""
    books = _Books(plan)
    labelled = [i for i in plan.slice if plan.transfer[i].response is not None]
    questions = [i for i in plan.slice if plan.transfer[i].response is None]
    host_losses = (yield HostLosses([plan.transfer[i] for i in labelled])).astype(np.float32)

    requests = {
        name: _learn_request(plan, participant, labelled, host_losses, questions).encode()
        for name, participant in sorted(plan.participants.items())
    }
    heard = yield Ask("learn", books.sent(requests))
    learned = books.heard(heard, lambda name, blob: LearnReply.decode(blob, texts=len(labelled)))
    books.need_quorum(learned, "trained")

    losses = {name: reply.losses for name, reply in learned.items()}
    best = experts(losses, [plan.transfer[i].domain for i in labelled])
    expert_of = {i: best[plan.transfer[i].domain] for i in questions if plan.transfer[i].domain in best}
    answers = {name: reply.answers for name, reply in learned.items()}
    settled = settle(answers, plan.settings.agreement, expert_of)
    settled = [s for s in settled if s.text in set(questions)]
    teachers = best_teachers(losses, host_losses)
    asked: dict[str, list[int]] = defaultdict(list)
    for place, name in sorted(teachers.items()):
        asked[name].append(labelled[place])
    for answer in settled:
        asked[answer.by].append(answer.text)
    wants = {
        name: [int(i) for i in reply.wants if int(i) in set(labelled)] for name, reply in learned.items()
    }
    wanted = sorted({i for places in wants.values() for i in places})
    host_rows = dict(zip(wanted, (yield HostRows([plan.transfer[i] for i in wanted])), strict=True))

    requests = {
        name: _exchange_request(plan, name, wants[name], host_rows, asked[name], settled).encode()
        for name in sorted(learned)
    }
    heard = yield Ask("exchange", books.sent(requests))
    claims = {
        name: dict(zip(labelled, (float(x) for x in reply.losses), strict=True))
        for name, reply in learned.items()
    }
    exchanged = books.heard(
        heard,
        lambda name, blob: _checked_exchange(plan, name, blob, asked[name], settled, claims[name]),
    )
    books.need_quorum(exchanged, "exchanged knowledge")

    merges, candidates = _merge(plan, {name: adapter for name, (adapter, _, _) in exchanged.items()})
    requests = {
        name: JudgeRequest(
            plan.round,
            plan.attempt,
            to_wire(_for_client(candidate, participant.description)),
            plan.settings.coding,
        ).encode()
        for cohort, candidate in sorted(candidates.items())
        for name, participant in sorted(plan.participants.items())
        if participant.cohort == cohort and name in exchanged
    }
    heard = yield Ask("judge", books.sent(requests))
    judged = books.heard(heard, lambda name, blob: JudgeReply.decode(blob))
    books.need_quorum(judged, "judged the merge")
    adapters, adopted = _gate(plan, merges, candidates, judged)

    standing = {answer.text: answer for answer in settled}
    lessons = _lessons(plan, labelled, standing, {name: rows for name, (_, rows, _) in exchanged.items()})
    told: HostLearned = yield TeachHost(lessons)

    participants = {
        name: replace(p, since=plan.turn, holds=adopted.get(p.cohort)) if name in judged else p
        for name, p in plan.participants.items()
    }
    record = books.record(learned, exchanged, judged, lessons, wants, settled)
    record |= {"merges": merges, "answers": _answers_record(questions, settled)}
    teaching = Counter(lesson.teacher for lesson in lessons if lesson.teacher)
    offered = {"texts": len(lessons), "teachers": dict(sorted(teaching.items()))}
    record["host"] = {**offered, **told.record}  # the host says better what it learned of it
    return Outcome(adapters, adopted, participants, record)


def _learn_request(
    plan: Plan, participant: Participant, labelled: list[int], host_losses: np.ndarray, questions: list[int]
) -> LearnRequest:
    cohort = participant.cohort
    adopted = plan.adopted.get(cohort)
    missed = adopted is not None and participant.holds != adopted
    adapter = _for_client(plan.adapters[cohort], participant.description) if missed else None
    return LearnRequest(
        round=plan.round,
        attempt=plan.attempt,
        seed=plan.seed,
        since=participant.since,
        adopted=adopted,
        host=plan.host,
        texts=np.array(labelled, np.int32),
        host_losses=host_losses,
        questions=np.array(questions, np.int32),
        answer_tokens=plan.settings.answer_tokens,
        adapter=None if adapter is None else to_wire(adapter),
    )


def _exchange_request(
    plan: Plan,
    name: str,
    wants: list[int],
    host_rows: Mapping[int, Rows],
    asked: list[int],
    settled: Sequence[Settled],
) -> ExchangeRequest:
    own = [SettledAnswer(s.text, s.answer, s.weight) for s in settled if s.by == name]
    others = [SettledAnswer(s.text, s.answer, s.weight) for s in settled if s.by != name]
    settings = plan.settings
    return ExchangeRequest(
        round=plan.round,
        attempt=plan.attempt,
        seed=plan.seed,
        vocabulary_size=plan.host_vocabulary_size,
        host=plan.host,
        given=np.array(wants, np.int32),
        rows=[host_rows[i] for i in wants],
        asked=np.array(asked, np.int32),
        asked_answers=own,
        settled=others,
        top_k=settings.top_k,
        floor=settings.floor,
        distillation=settings.distillation,
        temperature=settings.temperature,
    )


def _checked_exchange(
    plan: Plan,
    name: str,
    blob: Blob,
    asked: Sequence[int],
    settled: Sequence[Settled],
    claims: Mapping[int, float],
) -> tuple[Adapter, dict[int, Rows], Mapping[str, Any]]:
    """The reply of one client, believed as far as it can be checked."""
    who, vocabulary = plan.participants[name].description, plan.participants[name].vocabulary
    reply = ExchangeReply.decode(blob, vocabulary_size=vocabulary.size, texts=len(asked))
    # Whose it is, the server knows by whom it asked.
    given_adapter = replace(from_wire(reply.adapter), provenance={"who": name, "round": str(plan.round)})
    adapter = checked(given_adapter, who.shapes, who.base, max_rank=who.rank)
    responses = {s.text: s.answer for s in settled if s.by == name}
    rows = {}
    for text, given in zip(asked, reply.rows, strict=True):
        response = responses.get(text, plan.transfer[text].response) or ""
        found = Rows.of(given)
        found.check(vocabulary.size, len(response.encode()), (vocabulary, response.encode()))
        claim = claims.get(text)
        if claim is not None and abs(found.bits_per_byte - claim) > CLAIM_TOLERANCE * (1 + claim):
            raise RefusedPayload(
                f"claimed a loss of {claim:.3f} bits per byte on text {text}, "
                f"its rows say {found.bits_per_byte:.3f}"
            )
        rows[text] = found
    return adapter, rows, reply.training


def _for_client(adapter: Adapter, who: Description) -> Adapter:
    """The adapter on the layers that the client adapts, at its rank; in a cohort both may differ."""
    own = {path: factors for path, factors in adapter.factors.items() if path in who.shapes}
    return truncate(replace(adapter, factors=own), who.rank, who.alpha).adapter


def _merge(
    plan: Plan, adapters: Mapping[str, Adapter]
) -> tuple[dict[str, dict[str, Any]], dict[str, Adapter]]:
    """Merge each cohort's adapters: what the metrics say of it, and the candidate."""
    by_cohort: dict[str, list[str]] = defaultdict(list)
    for name in sorted(adapters):
        by_cohort[plan.participants[name].cohort].append(name)
    merges, candidates = {}, {}
    for cohort, names in sorted(by_cohort.items()):
        members = [plan.participants[name].description for name in names]
        weights = _within_reason([who.weight or who.texts for who in members])
        rank = plan.settings.rank or max(who.rank for who in members)
        alpha = max(who.alpha * rank / who.rank for who in members)
        merged = average([adapters[name] for name in names], list(weights), rank, alpha)
        candidates[cohort] = merged.adapter
        merges[cohort] = {
            "clients": names,
            "weights": [float(w) for w in weights / weights.sum()],
            "rank": rank,
            "error": float(merged.error),
        }
    return merges, candidates


def _within_reason(claims: Sequence[float]) -> NDArray[np.float64]:
    """What clients say they weigh, as far as it is believed; of two, the lesser is the middle one."""
    said = np.array(claims, float)
    middle = float(np.sort(said)[(len(said) - 1) // 2])
    believed: NDArray[np.float64] = np.minimum(said, MOST_OF_MIDDLE * middle)
    return believed


def _gate(
    plan: Plan,
    merges: dict[str, dict[str, Any]],
    candidates: Mapping[str, Adapter],
    judged: Mapping[str, JudgeReply],
) -> tuple[dict[str, Adapter], dict[str, Turn]]:
    """Adopt each candidate unless its clients' own held-out text says it is worse. Writes into `merges`."""
    adapters, adopted = dict(plan.adapters), dict(plan.adopted)
    for cohort, candidate in candidates.items():
        votes = [judged[name] for name in merges[cohort]["clients"] if name in judged]
        if not votes:
            merges[cohort] |= {"adopted": False, "reason": "nobody judged it"}
            continue
        texts = _within_reason([max(1, vote.texts) for vote in votes])
        before = float(np.average([vote.before for vote in votes], weights=texts))
        after = float(np.average([vote.after for vote in votes], weights=texts))
        better = after <= before + plan.settings.tolerance
        voters = f"{len(votes)} client{'s' * (len(votes) > 1)}"
        reason = f"held-out text of {voters}: {before:.3f} -> {after:.3f} bits per byte, " + (
            "adopted" if better else f"worse by more than {plan.settings.tolerance:g}, not adopted"
        )
        merges[cohort] |= {"adopted": better, "before": before, "after": after, "reason": reason}
        if better:
            adapters[cohort], adopted[cohort] = candidate, plan.turn
    return adapters, adopted


def _lessons(
    plan: Plan,
    labelled: Sequence[int],
    answers: Mapping[int, Settled],
    rows: Mapping[str, Mapping[int, Rows]],
) -> list[Teaching]:
    """What the host learns from: public text, with the best client's rows; answers, with their giver's."""
    taught = {text: (name, found) for name in sorted(rows) for text, found in rows[name].items()}
    lessons = []
    for text in labelled:
        name, found = taught.get(text, ("", None))
        lessons.append(Teaching(plan.transfer[text], name, found))
    for text, answer in sorted(answers.items()):
        if text in taught:  # its giver may have been left out since
            example = replace(plan.transfer[text], response=answer.answer)
            lessons.append(Teaching(example, *taught[text], weight=answer.weight, settled=True))
    return lessons


def _answers_record(questions: Sequence[int], settled: Sequence[Settled]) -> dict[str, Any]:
    by: dict[str, int] = defaultdict(int)
    for answer in settled:
        by[answer.by] += 1
    return {
        "asked": len(questions),
        "settled": len(settled),
        "unsettled": len(questions) - len(settled),
        "by": dict(sorted(by.items())),
    }


class _Books:
    """Who is still in the round, what every client sent and got, and why the others were left out."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left_out: dict[str, tuple[str, str]] = {}
        self._up: dict[str, dict[str, int]] = {name: {} for name in plan.participants}
        self._down: dict[str, dict[str, int]] = {name: {} for name in plan.participants}

    def sent(self, requests: Mapping[str, Blob]) -> Mapping[str, Blob]:
        for name, blob in requests.items():
            _add(self._down[name], sizes(blob))
        return requests

    def heard(self, heard: Heard, read: Any) -> dict[str, Any]:
        """The replies that can be read, by name; the others' senders are left out of the round."""
        self._left_out |= heard.missing
        replies = {}
        for name, blob in sorted(heard.replies.items()):
            try:
                replies[name] = read(name, blob)
                _add(self._up[name], sizes(blob))
            except RefusedPayload as error:
                self._left_out[name] = ("refused", error.message)
        return replies

    def need_quorum(self, replies: Mapping[str, Any], what: str) -> None:
        if len(replies) < self._plan.settings.quorum:
            reasons = "; ".join(f"{name}: {reason}" for name, (_, reason) in sorted(self._left_out.items()))
            there, needed = len(self._plan.participants), self._plan.settings.quorum
            raise RoundAbandoned(
                f"round {self._plan.round}: {len(replies)} of {there} clients {what}, {needed} are needed"
                + (f" ({reasons})" if reasons else ""),
                hint="nothing of the round was kept; mend the clients or lower round.quorum, then --resume",
            )

    def record(
        self,
        learned: Mapping[str, LearnReply],
        exchanged: Mapping[str, tuple[Adapter, Mapping[int, Rows], Mapping[str, Any]]],
        judged: Mapping[str, JudgeReply],
        lessons: Sequence[Teaching],
        wants: Mapping[str, Sequence[int]],
        settled: Sequence[Settled],
    ) -> dict[str, Any]:
        clients: dict[str, Any] = {}
        for name in sorted(self._plan.participants):
            status, reason = self._left_out.get(name, ("ok", ""))
            entry: dict[str, Any] = {"status": status, "reason": reason}
            entry |= {"bytes_up": self._up[name], "bytes_down": self._down[name]}
            if name in learned:
                entry |= learned[name].training
            if name in exchanged:
                entry |= exchanged[name][2]
                from_others: dict[str, int] = defaultdict(int)
                for answer in settled:
                    if answer.by != name:
                        from_others[answer.by] += 1
                from_host = {"host": len(wants[name])} if wants[name] else {}
                entry["learned"] = from_host | dict(sorted(from_others.items()))
                entry["taught"] = sum(lesson.teacher == name for lesson in lessons)
            if name in judged:
                entry["kept"] = judged[name].kept
            clients[name] = entry
        return {"clients": clients}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value
