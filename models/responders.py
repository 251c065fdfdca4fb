"""Whole answers, by a responder or by a model: the coarser of the two contracts."""

from __future__ import annotations

from collections.abc import Iterator

from renga.models.contract import LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.generate import respond


def respond_by(answering: Responder | LanguageModel, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
    """The answer in pieces: a responder's own, or the model's token by token."""
    own = getattr(answering, "respond", None)
    if own is not None:
        return iter(own(prompt, sampling))
    return respond(answering, prompt, sampling)  # type: ignore[arg-type]


def answer_by(answering: Responder | LanguageModel, prompt: Prompt, sampling: Sampling) -> str:
    """The whole answer as text."""
    return "".join(piece.text for piece in respond_by(answering, prompt, sampling))
