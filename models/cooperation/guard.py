"""Guarding: an answer is looked at before it counts, and a policy says what follows.

An answer is streamed as it comes where it is only shown; where it may be corrected, handed on, withheld or
put before a person, it is held back until it was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from renga.errors import RengaError, UsageError
from renga.models.contract import LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.cooperation.detect import Detector, Mark
from renga.models.responders import answer_by, respond_by

ABSTENTION = "I can't answer this reliably."


class Then(StrEnum):
    """What follows when an answer does not hold."""

    SHOW = "show"
    CORRECT = "correct"
    ESCALATE = "escalate"
    ABSTAIN = "abstain"
    ASK = "ask"


@dataclass(frozen=True)
class Policy:
    """then: what follows marks of `threshold` and more. failing: what follows when a detector can't tell;
    to show means that the answer stands and says so. rounds: of correction."""

    then: Then = Then.SHOW
    threshold: float = 0.5
    failing: Then = Then.SHOW
    rounds: int = 1


@dataclass(frozen=True)
class Finding:
    """What detectors said of one answer. failures: those that could not tell, and why. score: the worst
    mark's, or the combination's."""

    marks: tuple[Mark, ...] = ()
    failures: tuple[str, ...] = ()
    score: float = 0.0

    def above(self, threshold: float) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.marks if mark.score >= threshold)


@dataclass(frozen=True)
class Checked(Piece):
    """The last piece of a guarded answer: what was found in it, what followed, and what could not be done."""

    finding: Finding = Finding()
    followed: Then | None = None
    notices: tuple[str, ...] = ()


class Reviewer(Protocol):
    """A person who can be asked, or whoever stands for one."""

    def review(self, question: str, answer: str, finding: Finding) -> str | None:
        """The answer that is right: the same, or another; None when nobody said so in time."""
        ...


class Combination(Protocol):
    """One score of what several detectors said; see `renga.models.cooperation.verdicts`."""

    def score(self, by_detector: dict[str, float]) -> float: ...


class Guarded:
    """A responder whose answers are looked at; see `guard`."""

    def __init__(
        self,
        responder: Responder | LanguageModel,
        detectors: Sequence[Detector],
        policy: Policy,
        escalate: Responder | LanguageModel | None,
        reviewer: Reviewer | None,
        combination: Combination | None,
    ) -> None:
        self.responder, self.detectors, self.policy = responder, tuple(detectors), policy
        self._escalate, self._reviewer, self._combination = escalate, reviewer, combination

    @property
    def members(self) -> tuple[Responder | LanguageModel, ...]:
        return (self.responder, *([self._escalate] if self._escalate is not None else []))

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        policy = self.policy
        if {policy.then, policy.failing} == {Then.SHOW}:
            parts = []
            for piece in respond_by(self.responder, prompt, sampling):
                parts.append(piece.text)
                yield piece
            finding = self.inspect(prompt, "".join(parts))
            yield _last("", finding, policy, None, ())
            return
        answer = answer_by(self.responder, prompt, sampling)
        finding = self.inspect(prompt, answer)
        then = None
        if finding.score >= policy.threshold:
            then = policy.then
        elif finding.failures and policy.failing is not Then.SHOW:
            then = policy.failing
        notices: list[str] = []
        if then is not None and then is not Then.SHOW:
            answer, finding, then = self._follow(then, prompt, sampling, answer, finding, notices)
        yield _last(answer, finding, policy, then, tuple(notices))

    def inspect(self, prompt: Prompt, answer: str) -> Finding:
        """What the detectors say of an answer. One that fails is named, and the others go on."""
        marks: list[Mark] = []
        failures: list[str] = []
        for detector in self.detectors:
            try:
                marks += detector.inspect(prompt, answer)
            except RengaError as error:
                failures.append(f"{detector.name} could not tell: {error.message}")
        if self._combination is not None and marks:
            score = self._combination.score(worst_by_detector(marks))
        else:
            score = max((mark.score for mark in marks), default=0.0)
        return Finding(tuple(sorted(marks, key=lambda m: (m.span, -m.score))), tuple(failures), score)

    def _follow(
        self,
        then: Then,
        prompt: Prompt,
        sampling: Sampling,
        answer: str,
        finding: Finding,
        notices: list[str],
    ) -> tuple[str, Finding, Then]:
        if then is Then.ABSTAIN:
            return ABSTENTION, finding, then
        if then is Then.CORRECT:
            return (*self._corrected(prompt, sampling, answer, finding), then)
        if then is Then.ESCALATE:
            assert self._escalate is not None
            try:
                other = answer_by(self._escalate, prompt, sampling)
            except RengaError as error:  # a raw prompt that may not leave, a line that is down
                notices.append(f"could not be handed on: {error.message}")
                return answer, finding, Then.SHOW
            return other, self.inspect(prompt, other), then
        assert self._reviewer is not None
        said = self._reviewer.review(prompt.text, answer, finding)
        if said is None:
            notices.append("nobody looked at it in time")
            return answer, finding, Then.SHOW
        return said, finding, then

    def _corrected(
        self, prompt: Prompt, sampling: Sampling, answer: str, finding: Finding
    ) -> tuple[str, Finding]:
        """The best of the answer and those to the question asked again with what was found."""
        best = (answer, finding)
        for _ in range(self.policy.rounds):
            found = best[1].above(self.policy.threshold) or best[1].marks
            reasons = "\n".join(f"- {mark.span.of(best[0])!r}: {mark.reason}" for mark in found[:5])
            text = (
                f"{prompt.text}\n\nAn earlier answer was: {best[0]}\nWhat is wrong with it:\n{reasons}\n"
                "Answer again, without these mistakes."
            )
            again = answer_by(self.responder, prompt.asking(text), sampling)
            seen = self.inspect(prompt, again)
            if again.strip() and seen.score < best[1].score:
                best = (again, seen)
            if best[1].score < self.policy.threshold:
                break
        return best


def guard(
    responder: Responder | LanguageModel,
    detectors: Sequence[Detector],
    policy: Policy = Policy(),
    *,
    escalate: Responder | LanguageModel | None = None,
    reviewer: Reviewer | None = None,
    combination: Combination | None = None,
) -> Guarded:
    """A responder whose answers `detectors` look at; what follows is the policy's.

    escalate, reviewer: who takes over, where the policy wants one. combination: of the detectors' scores into
    one, instead of the worst. Raises UsageError for a policy that can't be followed.
    """
    if not detectors:
        raise UsageError("a guard needs at least one detector")
    wanted = {policy.then, policy.failing}
    if Then.ESCALATE in wanted and escalate is None:
        raise UsageError("the policy escalates, and nobody is there to take over", hint="give escalate=…")
    if Then.ASK in wanted and reviewer is None:
        raise UsageError("the policy asks a person, and none is there", hint="give reviewer=…")
    if not 0 <= policy.threshold <= 1 or policy.rounds < 1:
        raise UsageError(f"threshold = {policy.threshold}, rounds = {policy.rounds}: 0 to 1, and from 1")
    return Guarded(responder, detectors, policy, escalate, reviewer, combination)


def worst_by_detector(marks: Sequence[Mark]) -> dict[str, float]:
    """The highest score of each detector."""
    found: dict[str, float] = {}
    for mark in marks:
        found[mark.detector] = max(found.get(mark.detector, 0.0), mark.score)
    return found


def _last(
    answer: str, finding: Finding, policy: Policy, then: Then | None, notices: tuple[str, ...]
) -> Checked:
    said = [f"[? {failure}]" for failure in finding.failures] + [f"[? {notice}]" for notice in notices]
    if then is None or then is Then.SHOW:
        said = [f"[? {mark.reason}]" for mark in finding.above(policy.threshold)] + said
    followed = then or (Then.SHOW if finding.score >= policy.threshold else None)
    tail = "\n\n" + "\n".join(said) if said else ""
    return Checked(answer + tail, finding, followed, notices)
