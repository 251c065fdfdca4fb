"""The one place where bytes leave a client: the policy is asked, the ledger written, then they may go."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from renga.client.ledger import Ledger
from renga.client.policy import Policy
from renga.errors import RengaError
from renga.models.contract import Clearance

# The key of the policy that each kind of message asks.
ASKS = {
    "query.describe": "describe",
    "train.learn": "learn",
    "query.answer": "answer",
    "train.exchange": "exchange",
    "evaluate.judge": "judge",
    "prompt": "prompts",
    "session": "prompts",
    "lent": "lend",
}


class Withheld(RengaError):
    """The owner's policy does not let this leave."""


@dataclass
class Outbox:
    """What may leave to `server`, by `policy`, noted in `ledger`."""

    server: str
    policy: Policy
    ledger: Ledger
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: dict[int, int] = field(default_factory=dict)

    def release(self, kind: str, round: int, size: int, *, digest: str = "") -> None:
        """Let one message go, noted first. Raises Withheld if the policy says no."""
        key = ASKS.get(kind)
        if key is None or not getattr(self.policy, key):
            raise Withheld(
                f"the client's policy does not let {key or kind} leave",
                hint="see policy.toml in its state folder",
            )
        if self.policy.largest_message and size > self.policy.largest_message:
            raise Withheld(f"a message of {size} bytes is more than the client's policy lets leave at once")
        with self._lock:
            before = self._sent.setdefault(round, self.ledger.sent(round) if self.policy.per_round else 0)
            if self.policy.per_round and before + size > self.policy.per_round:
                raise Withheld(f"the client's policy lets no more leave in round {round}")
            self.ledger.write(kind, self.server, round, size, digest)
            self._sent[round] = before + size

    def release_prompt(self, clearance: Clearance, size: int, kind: str = "prompt") -> None:
        """Let a prompt go that is public or was sanitised. Raises Withheld for a raw one, always."""
        if clearance is Clearance.RAW:
            raise Withheld(
                "a raw prompt does not leave this device",
                hint="--public, if nothing in it is private",
            )
        self.release(kind, 0, size)
