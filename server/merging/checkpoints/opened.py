"""Checkpoints that are open and found whole, and what their tensors are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from renga.server.merging.checkpoints.files import Checkpoint
from renga.server.merging.checkpoints.parts import Source

LAYER = re.compile(r"^(?P<before>(?:.*?\.)?(?:layers|layer|h|blocks|block))\.(?P<number>\d+)\.(?P<after>.+)$")
HEAD = "lm_head.weight"
EMBEDDINGS = ("embed_tokens.weight", "wte.weight")
_NO_WEIGHTS = ("rotary_emb.inv_freq",)  # computed from the config; old checkpoints hold it


@dataclass(frozen=True, eq=False)
class Opened:
    """A checkpoint with its fingerprint."""

    checkpoint: Checkpoint
    fingerprint: str

    @cached_property
    def names(self) -> frozenset[str]:
        """Its tensors, without those that only repeat the config."""
        return frozenset(name for name in self.checkpoint.tensors if not name.endswith(_NO_WEIGHTS))

    @cached_property
    def layers(self) -> int:
        return depth_of(self.names)

    @property
    def tied(self) -> bool:
        """Whether its output layer is its embedding."""
        return bool(self.checkpoint.config.get("tie_word_embeddings", not self._has_head()))

    def _has_head(self) -> bool:
        return any(name.endswith(HEAD) for name in self.names)

    def alias(self, name: str) -> str | None:
        """The tensor that stands for `name`: itself, or the embedding for an output layer tied to it."""
        if name in self.names:
            return name
        if name.endswith(HEAD) and self.tied:
            tied = [other for other in self.names if other.endswith(EMBEDDINGS)]
            return tied[0] if len(tied) == 1 else None
        return None

    def source(self, name: str) -> Source:
        return Source(self.checkpoint, self.alias(name) or name, self.fingerprint)


def depths_of(names: Iterable[str]) -> dict[str, int]:
    """How many layers each stack of layers has, by what stands before the number in tensors' names."""
    depths: dict[str, int] = {}
    for name in names:
        if match := LAYER.match(name):
            before = match["before"]
            depths[before] = max(depths.get(before, 0), int(match["number"]) + 1)
    return depths


def depth_of(names: Iterable[str]) -> int:
    """How many layers tensors with these names have; the deepest stack's, where there are several."""
    return max(depths_of(names).values(), default=0)


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts layer 9 before layer 10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"(\d+)", name)]
