"""What sections of a config come to: the settings of a member, of the host, of a round; here and deployed."""

from __future__ import annotations

from renga.client.member import MemberSettings
from renga.config import Edge, Host, Round, Transfer
from renga.server.host import HostSettings
from renga.server.plan import Settings


def member_settings(name: str, edge: Edge, weight: float) -> MemberSettings:
    """Of the client `name`; `weight`: 0, or what it counts for instead of its number of texts."""
    return MemberSettings(
        name=name,
        rank=edge.rank,
        alpha=edge.alpha,
        modules=edge.modules,
        rate=edge.learning_rate,
        tokens=edge.tokens,
        transfer_tokens=edge.transfer_tokens,
        transfer_rate=edge.transfer_rate,
        batch=edge.batch,
        replay=edge.replay,
        transfer_tolerance=edge.transfer_tolerance,
        coding=edge.coding,
        weight=weight,
    )


def host_settings(host: Host, transfer: Transfer, round: Round) -> HostSettings:
    """Of the server's own model."""
    return HostSettings(
        rank=host.rank,
        alpha=host.alpha,
        modules=host.modules,
        rate=host.learning_rate,
        tokens=host.tokens,
        batch=host.batch,
        distillation=transfer.weight,
        temperature=transfer.temperature,
        tolerance=round.tolerance,
        top_k=transfer.top_k,
        floor=transfer.floor,
    )


def round_settings(transfer: Transfer, round: Round, clients: int) -> Settings:
    """Of every round of `clients`; if the config names no quorum, one of them may be missing."""
    return Settings(
        quorum=round.quorum or max(1, clients - 1),
        top_k=transfer.top_k,
        floor=transfer.floor,
        distillation=transfer.weight,
        temperature=transfer.temperature,
        agreement=transfer.agreement,
        answer_tokens=transfer.answer_tokens,
        rank=round.rank,
        tolerance=round.tolerance,
    )
