"""`renga chat`: a conversation at the terminal; what was hidden stands beside each answer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from renga.client.answerers import Answerer, Used
from renga.client.answering import Answering, answering
from renga.client.dialogue import STOPS, Turn
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.vault import SealedConversation
from renga.errors import RengaError, UsageError, did_you_mean
from renga.models.contract import Sampling
from renga.reviewing import Review, Reviewed

HELP = """\
  /plan [NAME]   who answers: host, edge, a plan; without a name: what there is
  /review        look at what is hidden before each message leaves, or no longer
  /history       the conversation so far, as it left and as it came
  /new           begin another conversation
  /quit          or Ctrl-D; Ctrl-C stops an answer"""


class Choosable(Protocol):
    """What can be asked, by name; as `client.endpoint.Models`."""

    def listed(self) -> dict[str, str]: ...

    def open(self, name: str) -> Answerer: ...


@dataclass
class Chat:
    """One person at one terminal. `read`: a line, None at the end; `write`: of the answer; `tell`: beside
    it."""

    models: Choosable
    desk: Desk
    sampling: Sampling
    read: Callable[[], str | None]
    write: Callable[[str], None]
    tell: Callable[[str], None]
    plan: str = "host"
    conversation: str = ""
    reviewing: bool = False
    _kept: SealedConversation = field(init=False)

    def run(self) -> None:
        """Until the person has enough. What goes wrong with one message is told, and the next may be said."""
        self.models.open(self.plan)  # who is not there is told before anything is said
        self._begin(self.conversation)
        self.tell(f"conversation {self._kept.name}, answered by {self.plan}; /help")
        while (line := self.read()) is not None:
            text = line.strip()
            if text.partition(" ")[0] in ("/quit", "/exit", "/q"):
                return
            try:
                if text.startswith("/"):
                    self._command(text)
                elif text:
                    self._say(text)
            except Reviewed as error:
                self.tell(error.message)
            except RengaError as error:
                self.tell(" — ".join(part for part in (error.message, error.hint) if part))

    def _begin(self, name: str) -> None:
        self._kept = self.desk.vault.conversation(
            name or f"chat-{time.strftime('%y%m%d')}-{secrets.token_hex(3)}"
        )

    def _command(self, text: str) -> None:
        verb, _, rest = text.partition(" ")
        match verb:
            case "/help":
                self.tell(HELP)
            case "/plan" if rest.strip():
                self.models.open(rest.strip())
                self.plan = rest.strip()
                self.tell(f"answered by {self.plan}")
            case "/plan":
                for name, owner in self.models.listed().items():
                    self.tell(f"  {'*' if name == self.plan else ' '} {name:<12} {owner}")
            case "/review":
                self.reviewing = not self.reviewing
                self.tell(f"review is {'on' if self.reviewing else 'off'}")
            case "/history":
                for turn in self._kept.turns():
                    self.tell(f"  {turn['role']}: {turn['text']}")
            case "/new":
                self._begin("")
                self.tell(f"conversation {self._kept.name}")
            case _:
                known = ["/help", "/plan", "/review", "/history", "/new", "/quit"]
                raise UsageError(f"{verb} is no command", hint=did_you_mean(verb, known))

    def _say(self, text: str) -> None:
        answerer, found = self.models.open(self.plan), None
        sanitiser = self.desk.of(self._kept)
        if self.reviewing and answerer.leaves:
            review = Review(self.read, self.tell)
            found = review.settled(text, sanitiser.find(text), sanitiser, self.desk)
        before = [Turn(turn["role"], turn["text"]) for turn in self._kept.turns()]
        used = Used(self.plan)
        # One that is here is asked as one that isn't: the conversation may go on elsewhere.
        answer = answering(
            answerer,
            [Turn("user", text)],
            self.sampling,
            used,
            self.desk,
            self._kept,
            stops=STOPS,
            before=before,
            found=found,
        )
        stopped = ""
        try:
            for piece in answer:
                self.write(piece)
        except KeyboardInterrupt:  # of the answer, not of the chat
            stopped = " · stopped"
        finally:
            self.write("\n")
        for turn in (answer.sent[-1], Turn("assistant", answer.came)):
            self._kept.note({"role": turn.role, "text": turn.text})
        self.tell(_beside(answer) + stopped)


def _beside(answer: Answering) -> str:
    hidden = ", ".join(f"{count} {kind}" for kind, count in sorted(answer.hidden.items())) or "nothing"
    stayed = f" · {answer.stayed} not restored, in links" if answer.stayed else ""
    used = answer.used
    moved = f" · {used.sent:,} B up, {used.received:,} B down" if used.sent else ""
    return f"  hidden: {hidden}{stayed} · {used.completion_tokens} tokens by {used.plan}{moved}"
