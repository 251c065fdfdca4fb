"""`policy.toml`: what may leave this device, and how much of it. Its owner writes it; nobody else reads it.

Without a file the defaults hold: what a federation can't do without may leave, prompts may if they are public
or were sanitised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from renga.client.owners_file import read_owners_file

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
    return read_owners_file(path, Policy)
