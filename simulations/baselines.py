"""What a federation is compared with: clients alone, the host on public text, the host on all text.

Each spends, round for round, the same budget of training tokens as its federated counterpart does in its
own step: a client alone what it spends on private text, the host what it spends on the transfer set.
"""

from __future__ import annotations

from collections.abc import Sequence

from renga.client.member import Member
from renga.models.adapter import Adapter
from renga.models.example import Example
from renga.models.scoring import encode_texts
from renga.models.seeds import derived
from renga.models.training import Learning, Lesson, learn
from renga.server.host import Host


def alone(member: Member, rounds: int, seed: int, first: Adapter | None = None) -> Adapter:
    """A client that never hears of anybody: the same private steps, in the same order, as in the federation.

    `first` is what it was after its first private step, if that is known: up to there both are the same.
    """
    settings, weights = member.settings, member.weights
    lessons = [Lesson(text) for text in encode_texts(weights, member.private)]
    adapter = first or weights.fresh_adapter(
        settings.rank, settings.alpha, settings.modules, derived(seed, "first", weights.fingerprint)
    )
    for round in range(2 if first else 1, rounds + 1):
        how = Learning(
            rate=settings.rate,
            tokens=settings.tokens,
            batch=settings.batch,
            seed=derived(seed, settings.name, "private", round),
        )
        adapter = learn(weights, adapter, lessons, how, member.step_reporter("private")).adapter
    return adapter


def host_on(host: Host, examples: Sequence[Example], rounds: int, seed: int) -> Adapter:
    """The host trained on labelled text alone, no teacher and no gate."""
    settings, weights = host.settings, host.weights
    lessons = [Lesson(text) for text in encode_texts(weights, examples)]
    adapter = weights.fresh_adapter(settings.rank, settings.alpha, settings.modules, host.seed)
    for round in range(1, rounds + 1):
        how = Learning(
            rate=settings.rate,
            tokens=settings.tokens,
            batch=settings.batch,
            seed=derived(seed, "host", round),
        )
        adapter = learn(weights, adapter, lessons, how, host.step_reporter()).adapter
    return adapter
