"""Clients that misbehave on purpose, as a config's `faults` say: so that a run shows what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from renga.config import Fault as Planned
from renga.config import Network
from renga.errors import RengaError
from renga.models.seeds import derived
from renga.protocol.adapter_codec import DecodedAdapter
from renga.protocol.faults import Effect, Fault, planned, seeded
from renga.protocol.knowledge_codec import RowArrays, RowsLike
from renga.protocol.messages import (
    AnswerReply,
    AnswerRequest,
    Description,
    ExchangeReply,
    ExchangeRequest,
    JudgeReply,
    JudgeRequest,
    LearnReply,
    LearnRequest,
)

LATE = 1e9  # seconds: later than any deadline


class Answering(Protocol):
    """What a ClientApp asks of a member."""

    def describe(self) -> Description: ...
    def learn(self, request: LearnRequest) -> LearnReply: ...
    def answer(self, request: AnswerRequest) -> AnswerReply: ...
    def exchange(self, request: ExchangeRequest) -> ExchangeReply: ...
    def judge(self, request: JudgeRequest) -> JudgeReply: ...


def carrier_faults(faults: Sequence[Planned], network: Network, seed: int) -> Fault:
    """Those that a carrier can act out: messages that never arrive, replies that come too late.

    What `faults` plan comes first; the rest is left to `network`, and to chance by `seed`.
    """
    plan: dict[tuple[str, str, int], Effect] = {}
    for one in faults:
        if one.kind in ("drop", "slow"):
            plan[one.client, "*", one.round] = "drop" if one.kind == "drop" else LATE
    written, chance = planned(plan), seeded(derived(seed, "network"), **network.model_dump())

    def fault(name: str, message_type: str, round: int) -> Effect:
        effect = written(name, message_type, round)
        return chance(name, message_type, round) if effect is None else effect

    return fault


def lies(faults: Sequence[Planned]) -> dict[str, dict[int, str]]:
    """Those that only a client itself can commit: client -> round -> kind."""
    result: dict[str, dict[int, str]] = {}
    for fault in faults:
        if fault.kind not in ("drop", "slow"):
            result.setdefault(fault.client, {})[fault.round] = fault.kind
    return result


def answering(member: Answering, planned: Mapping[int, str] | None) -> Answering:
    """The member, misbehaving in the rounds that `planned` names (see `lies`)."""
    return Liar(member, planned) if planned else member


@dataclass(frozen=True)
class Liar:
    """A member that fails, or whose adapter or rows are not what they should be, in the rounds of `kinds`."""

    member: Answering
    kinds: Mapping[int, str]

    def describe(self) -> Description:
        return self.member.describe()

    def learn(self, request: LearnRequest) -> LearnReply:
        if self.kinds.get(request.round) == "fail":
            raise RengaError("it drops out, as planned")
        return self.member.learn(request)

    def answer(self, request: AnswerRequest) -> AnswerReply:
        return self.member.answer(request)

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        reply = self.member.exchange(request)
        kind = self.kinds.get(request.round)
        if kind == "vocabulary":
            return replace(reply, rows=[_in_other_tokens(rows) for rows in reply.rows])
        # As float32, the only coding that can carry NaN: it is the server that must refuse it.
        return replace(reply, adapter=_spoilt(reply.adapter, kind), coding="float32") if kind else reply

    def judge(self, request: JudgeRequest) -> JudgeReply:
        return self.member.judge(request)


def _in_other_tokens(rows: RowsLike) -> RowArrays:
    gold, ids = np.roll(rows.gold, 1), np.roll(rows.ids, 1)
    return RowArrays(rows.offsets, gold, rows.gold_logp, rows.counts, ids, rows.logp)


def _spoilt(adapter: DecodedAdapter, kind: str) -> DecodedAdapter:
    if kind == "base":
        return adapter._replace(base="0" * 64)
    path = min(adapter.factors)
    a, b = adapter.factors[path]
    if kind == "nan":
        spoilt = (a, np.full_like(b, np.nan))
    else:
        spoilt = (a, np.concatenate([b, b[:1]]))
    return adapter._replace(factors={**adapter.factors, path: spoilt})
