"""What a request of the OpenAI API asks for. What can't be done is refused, never left out in silence."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from renga.errors import UsageError
from renga.models.contract import Sampling

MOST_TOKENS = 4096
NOT_OFFERED = ("logprobs", "top_logprobs", "functions", "audio", "echo", "suffix")


def sampling_of(body: Mapping[str, Any]) -> Sampling:
    """How the answer is drawn. Raises UsageError."""
    most = next(
        (body[name] for name in ("max_completion_tokens", "max_tokens") if body.get(name) is not None), 256
    )
    temperature, top_p = body.get("temperature"), body.get("top_p")
    try:
        sampling = Sampling(
            temperature=1.0 if temperature is None else float(temperature),
            top_p=1.0 if top_p is None else float(top_p),
            max_tokens=int(most),
            seed=int(body["seed"]) if body.get("seed") is not None else uuid.uuid4().int % 2**31,
        )
    except (TypeError, ValueError, OverflowError):
        raise UsageError("temperature, top_p, max_tokens and seed are numbers") from None
    if not 0 <= sampling.temperature <= 2 or not 0 < sampling.top_p <= 1:
        raise UsageError("temperature is 0 to 2, top_p above 0 and at most 1")
    if not 1 <= sampling.max_tokens <= MOST_TOKENS or not 0 <= sampling.seed < 2**63:
        raise UsageError(f"max_tokens is 1 to {MOST_TOKENS}, seed at least 0")
    return sampling


def stops_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the answer ends before its end. Raises UsageError."""
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise UsageError("stop must be a text, or a list of texts")
    return tuple(stops)


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether a stream's last chunk says what was used. Raises UsageError."""
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise UsageError("stream_options must be an object")
    return bool(options and options.get("include_usage"))


def refuse_what_is_not_offered(body: Mapping[str, Any]) -> None:
    """Raises UsageError for what would change the answer, and is not done here."""
    if body.get("n") not in (None, 1) or body.get("best_of") not in (None, 1):
        raise UsageError("n: one answer at a time")
    for option in NOT_OFFERED:
        if body.get(option):
            raise UsageError(f"{option}: that is not offered")
    shape = body.get("response_format")
    if shape is not None and not (isinstance(shape, dict) and shape.get("type") == "text"):
        raise UsageError("response_format: only text is offered", hint="ask for JSON in words")
