"""How many tokens a model reads at once. A prompt of more is refused before anything is computed, and an
answer that gets there ends with a word about it: what a model says beyond is nonsense that looks like one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from renga.errors import RengaError
from renga.models.contract import Verify, Want

SHORTER = "retrieve(…) from a long text, compress(…) a long prompt, or shorten it"


class TooLong(RengaError):
    """More than a model reads. Nothing of what was asked was read."""


def context_of(config: Any) -> int | None:
    """Tokens that a model of `transformers` reads at most, by the configuration of its text part; None where
    none are stated, as of recurrent models."""
    stated = getattr(config, "max_position_embeddings", None)
    if not isinstance(stated, int) or stated < 1:
        return None
    scaling = getattr(config, "rope_parameters", None) or {}
    if scaling.get("rope_type") == "yarn":  # some state what they were trained on, before it was stretched
        original = scaling.get("original_max_position_embeddings") or 0
        return max(stated, int(original * float(scaling.get("factor") or 1)))
    return stated


def check_prompt(tokens: int, most: int | None, name: str) -> None:
    """Raises TooLong for a prompt that leaves no place for an answer's first token to be told from."""
    if most is not None and tokens > most:
        # In one line, hint and all: what composes models tells of a member in its message alone.
        raise TooLong(f"the prompt is {tokens:,} tokens long; {name} reads at most {most:,}: {SHORTER}")


def fitting(ids: Sequence[int], want: Want, read: int, most: int | None, name: str) -> Sequence[int]:
    """Those of `ids` that a session has room for which has read `read`, its prompt included: all of them, or
    of ids to verify as many as fit, so that drafts end no answer. Raises TooLong where that is too little."""
    if most is None or read + len(ids) <= most:
        return ids
    if isinstance(want, Verify) and read < most:
        return ids[: most - read]
    raise TooLong(
        f"prompt and answer fill all {most:,} tokens that {name} reads: the answer ends here", hint=SHORTER
    )
