"""One turn of learning, as a state machine without I/O.

`play` is a generator: it yields what it needs done (`Ask` the clients, have the host read or learn), is sent
the results, and returns the `Outcome`. It knows neither Flower nor files nor models, so every carrier and
every test drives the same round; and a round that does not return has never happened.

The steps (docs/round.md):

1. learn: clients get the host's losses on this round's public texts, train on their own texts, freeze what
   they then are, and say their losses and whose rows they want. Who knows best is chosen per text.
2. answer: whoever knows a bare prompt's domain best answers it; where nobody can tell, all do.
3. exchange: clients get the host's rows they wanted and others' answers, learn from them, and give their
   frozen rows where they know best, and their adapter.
4. judge: each cohort's adapters are merged; the cohort's clients judge the result on held-out text of their
   own, and the gate adopts it or not.
5. the host learns from the rows and answers, behind a gate of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from renga.errors import RefusedPayload
from renga.models.adapter import Adapter, checked
from renga.models.carried import as_coded, to_wire
from renga.models.knowledge import Rows
from renga.protocol.messages import (
    AnswerReply,
    AnswerRequest,
    ExchangeReply,
    ExchangeRequest,
    JudgeReply,
    JudgeRequest,
    LearnReply,
    LearnRequest,
    SettledAnswer,
)
from renga.server.books import Books
from renga.server.cohorts import for_client, gate, merge
from renga.server.plan import (
    Ask,
    Blob,
    Effect,
    HostLearned,
    HostLosses,
    HostRows,
    Outcome,
    Participant,
    Plan,
    TeachHost,
    Teaching,
)
from renga.server.selection import GivenAnswer, Settled, best_teachers, experts, settle

# A claimed loss and the rows that carry it differ by the coding of log-probabilities only.
CLAIM_TOLERANCE = 0.02  # share of the claim, plus as many bits per byte


def play(plan: Plan) -> Generator[Effect, Any, Outcome]:
    """The round `plan` describes. Raises RoundAbandoned when fewer than the quorum are left."""
    books = Books(plan)
    labelled = [i for i in plan.slice if plan.transfer[i].response is not None]
    questions = [i for i in plan.slice if plan.transfer[i].response is None]
    host_losses = (yield HostLosses([plan.transfer[i] for i in labelled])).astype(np.float32)

    requests = {
        name: _learn_request(plan, participant, labelled, host_losses).encode()
        for name, participant in sorted(plan.participants.items())
    }
    heard = yield Ask("learn", books.sent(requests))
    learned = books.heard(heard, lambda name, blob: LearnReply.decode(blob, texts=len(labelled)))
    books.need_quorum(learned, "trained")
    losses = {name: reply.losses for name, reply in learned.items()}

    to_answer = _whom_to_ask(plan, questions, labelled, losses, host_losses)
    requests = {name: _answer_request(plan, places).encode() for name, places in sorted(to_answer.items())}
    heard = yield Ask("answer", books.sent(requests))
    answered = books.heard(heard, lambda name, blob: _checked_answers(plan, name, blob, to_answer[name]))
    learned = {name: reply for name, reply in learned.items() if name in answered or name not in to_answer}
    books.need_quorum(learned, "answered")
    settled = settle({name: given for name, (given, _) in answered.items()}, plan.settings.agreement)

    losses = {name: losses[name] for name in learned}
    asked: dict[str, list[int]] = defaultdict(list)
    for place, name in sorted(best_teachers(losses, host_losses).items()):
        asked[name].append(labelled[place])
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
        name: dict(zip(labelled, (float(x) for x in said), strict=True)) for name, said in losses.items()
    }
    exchanged = books.heard(
        heard, lambda name, blob: _checked_exchange(plan, name, blob, asked[name], claims[name])
    )
    books.need_quorum(exchanged, "exchanged knowledge")

    merges, candidates = merge(plan, {name: adapter for name, (adapter, _, _) in exchanged.items()})
    heard = yield Ask("judge", books.sent(_judge_requests(plan, candidates, sorted(exchanged))))
    judged = books.heard(heard, lambda name, blob: JudgeReply.decode(blob))
    books.need_quorum(judged, "judged the merge")
    adapters, adopted = gate(plan, merges, candidates, judged)

    lessons = _lessons(plan, labelled, {name: rows for name, (_, rows, _) in exchanged.items()})
    # Whoever has been left out since it answered teaches nobody.
    lessons += [
        Teaching(
            replace(plan.transfer[s.text], response=s.answer), s.by, answered[s.by][1][s.text], settled=True
        )
        for s in settled
        if s.by in exchanged
    ]
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
    plan: Plan, participant: Participant, labelled: list[int], host_losses: np.ndarray
) -> LearnRequest:
    cohort = participant.cohort
    adopted = plan.adopted.get(cohort)
    missed = adopted is not None and participant.holds != adopted
    adapter = for_client(plan.adapters[cohort], participant.description) if missed else None
    return LearnRequest(
        round=plan.round,
        attempt=plan.attempt,
        seed=plan.seed,
        since=participant.since,
        adopted=adopted,
        host=plan.host,
        texts=np.array(labelled, np.int32),
        host_losses=host_losses,
        adapter=None if adapter is None else to_wire(adapter),
    )


def _whom_to_ask(
    plan: Plan,
    questions: Sequence[int],
    labelled: Sequence[int],
    losses: Mapping[str, np.ndarray],
    host_losses: np.ndarray,
) -> dict[str, list[int]]:
    """By name the bare prompts to answer: those of the domains that a client knows best, and all others.

    The labelled texts of a domain say who knows it. Where that is the host, nobody is asked: there is no one
    to learn the answer from. A domain without labelled texts is anybody's.
    """
    best = experts(losses, [plan.transfer[i].domain for i in labelled], host_losses)
    asked: dict[str, list[int]] = defaultdict(list)
    for question in questions:
        domain = plan.transfer[question].domain
        expert = best.get(domain)
        for name in losses if domain not in best else ([expert] if expert else []):
            asked[name].append(question)
    return dict(asked)


def _answer_request(plan: Plan, questions: Sequence[int]) -> AnswerRequest:
    settings = plan.settings
    return AnswerRequest(
        round=plan.round,
        attempt=plan.attempt,
        questions=np.array(questions, np.int32),
        answer_tokens=settings.answer_tokens,
        agreement=settings.agreement,
        top_k=settings.top_k,
        floor=settings.floor,
    )


def _exchange_request(
    plan: Plan,
    name: str,
    wants: list[int],
    host_rows: Mapping[int, Rows],
    asked: list[int],
    settled: Sequence[Settled],
) -> ExchangeRequest:
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
        settled=[SettledAnswer(s.text, s.answer, s.weight) for s in settled if s.by != name],
        top_k=settings.top_k,
        floor=settings.floor,
        distillation=settings.distillation,
        temperature=settings.temperature,
    )


def _judge_requests(plan: Plan, candidates: Mapping[str, Adapter], names: Sequence[str]) -> dict[str, Blob]:
    """Each client's own cut of its cohort's candidate; clients of one shape are sent one and the same."""
    cut: dict[tuple[Any, ...], Blob] = {}
    requests = {}
    for name in names:
        who = plan.participants[name].description
        shape = (who.base, who.rank, who.alpha, tuple(sorted(who.shapes)))
        if shape not in cut:
            adapter = to_wire(for_client(candidates[who.base], who))
            cut[shape] = JudgeRequest(plan.round, plan.attempt, adapter, plan.settings.coding).encode()
        requests[name] = cut[shape]
    return requests


def _checked_answers(
    plan: Plan, name: str, blob: Blob, asked: Sequence[int]
) -> tuple[list[GivenAnswer], dict[int, Rows]]:
    """What one client answers, with its rows. How sure it is of an answer, the rows say."""
    vocabulary = plan.participants[name].vocabulary
    reply = AnswerReply.decode(blob, vocabulary_size=vocabulary.size)
    given, rows = [], {}
    for (text, answer), said in zip(reply.answers, reply.rows, strict=True):
        if text not in asked:
            raise RefusedPayload(f"answers text {text}, which it was not asked about")
        found = Rows.of(said)
        found.check(vocabulary.size, len(answer.encode()), (vocabulary, answer.encode()))
        given.append(GivenAnswer(text, answer, found.probability))
        rows[text] = found
    return given, rows


def _checked_exchange(
    plan: Plan, name: str, blob: Blob, asked: Sequence[int], claims: Mapping[int, float]
) -> tuple[Adapter, dict[int, Rows], Mapping[str, Any]]:
    """The reply of one client, believed as far as it can be checked."""
    who, vocabulary = plan.participants[name].description, plan.participants[name].vocabulary
    reply = ExchangeReply.decode(blob, vocabulary_size=vocabulary.size, texts=len(asked))
    # Whose it is, the server knows by whom it asked.
    given_adapter = replace(as_coded(reply.adapter), provenance={"who": name, "round": str(plan.round)})
    adapter = checked(given_adapter, who.shapes, who.base, max_rank=who.rank)
    rows = {}
    for text, given in zip(asked, reply.rows, strict=True):
        response = (plan.transfer[text].response or "").encode()
        found = Rows.of(given)
        found.check(vocabulary.size, len(response), (vocabulary, response))
        claim = claims[text]
        if abs(found.bits_per_byte - claim) > CLAIM_TOLERANCE * (1 + claim):
            raise RefusedPayload(
                f"claimed a loss of {claim:.3f} bits per byte on text {text}, "
                f"its rows say {found.bits_per_byte:.3f}"
            )
        rows[text] = found
    return adapter, rows, reply.training


def _lessons(plan: Plan, labelled: Sequence[int], rows: Mapping[str, Mapping[int, Rows]]) -> list[Teaching]:
    """The public text that the host learns from, with the rows of the client who knows it best."""
    taught = {text: (name, found) for name in sorted(rows) for text, found in rows[name].items()}
    return [Teaching(plan.transfer[text], *taught.get(text, ("", None))) for text in labelled]


def _answers_record(questions: Sequence[int], settled: Sequence[Settled]) -> dict[str, Any]:
    by = Counter(answer.by for answer in settled)
    return {
        "asked": len(questions),
        "settled": len(settled),
        "unsettled": len(questions) - len(settled),
        "by": dict(sorted(by.items())),
    }
