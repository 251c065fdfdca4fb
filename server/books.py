"""The books of a round: who is still in it, what every client sent and got, why the others were left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from renga.errors import RefusedPayload
from renga.models.adapter import Adapter
from renga.models.knowledge import Rows
from renga.protocol.messages import JudgeReply, LearnReply, sizes
from renga.server.plan import Blob, Heard, Plan, RoundAbandoned, Teaching
from renga.server.selection import Settled


class Books:
    """Kept while a round is played; `record` is what the metrics say of each client."""

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
