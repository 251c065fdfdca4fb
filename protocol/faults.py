"""Clients that drop out or come late, by plan or by seed, for simulations and tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

Effect: TypeAlias = float | Literal["drop", "lose"] | None
"""None: nothing happens. "drop": the message never reaches the client. "lose": the client works, and
its reply is lost. A number: the reply becomes visible that many seconds later."""

Fault = Callable[[str, str, int], Effect]
"""(client's name, message type, round) -> effect. It must depend on nothing else."""


def planned(plan: Mapping[tuple[str, str, int], Effect]) -> Fault:
    """Faults written down: (name, message type, round) -> effect; "*" stands for every message type."""

    def fault(name: str, message_type: str, round: int) -> Effect:
        exact = plan.get((name, message_type, round))
        return plan.get((name, "*", round)) if exact is None else exact

    return fault


def seeded(
    seed: int, *, drop: float = 0.0, lose: float = 0.0, late: float = 0.0, delay: float = 0.0
) -> Fault:
    """Faults by chance: probabilities per message, and the mean delay of a late reply in seconds.

    The chance is a hash of seed, name, message type and round: it depends neither on the order in
    which messages are sent nor on how many other clients there are.
    """

    def fault(name: str, message_type: str, round: int) -> Effect:
        key = f"{seed}\0{name}\0{message_type}\0{round}".encode()
        digest = hashlib.sha256(key).digest()
        chance, length = (int.from_bytes(digest[i : i + 6], "big") / 2**48 for i in (0, 6))
        if chance < drop:
            return "drop"
        if chance < drop + lose:
            return "lose"
        return 2 * delay * length if chance < drop + lose + late else None

    return fault
