"""`policy.toml`: what may leave this device, and how much of it. Its owner writes it; nobody else reads it.

Without a file the defaults hold: what a federation can't do without may leave, prompts may if they are public
or were sanitised.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from renga.errors import UsageError, did_you_mean

Flag = Annotated[bool, Field(strict=True)]
Bytes = Annotated[int, Field(strict=True, ge=0)]


class Policy(BaseModel):
    """What may leave. A limit of 0 means none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    describe: Flag = Field(True, description="the model, its shapes, and how many texts there are")
    learn: Flag = Field(True, description="losses on public texts")
    answer: Flag = Field(True, description="answers to public prompts, with rows")
    exchange: Flag = Field(True, description="adapters, and rows on public texts")
    judge: Flag = Field(
        True, description="how a merged adapter does on held-out private text, as two numbers"
    )
    prompts: Flag = Field(True, description="prompts that are public or were sanitised")
    lend: Flag = Field(False, description="answers of the edge model to sessions that the server opens")
    largest_message: Bytes = Field(512 << 20, description="bytes of one message")
    per_round: Bytes = Field(0, description="bytes of all messages of a round; 0: no limit")


def read_policy(path: Path) -> Policy:
    """The policy in a file, or the defaults if there is none. Raises UsageError for what is wrong with it."""
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Policy()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    for key in sorted(set(written) - set(Policy.model_fields)):
        raise UsageError(f"{path}: there is no {key!r}", hint=did_you_mean(key, Policy.model_fields))
    try:
        return Policy.model_validate(written)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}: {first['loc'][0]}: {first['msg']}") from error
