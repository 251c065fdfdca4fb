"""What a client says of itself, for tests that need no client."""

from __future__ import annotations

from renga.protocol.messages import Description


def description(name: str) -> Description:
    return Description(
        name=name,
        model="tiny",
        base="b" * 64,
        vocabulary="v" * 64,
        vocabulary_size=320,
        rank=2,
        alpha=4.0,
        texts=10,
        weight=0.0,
        transfer="t" * 64,
        shapes={"layers.0.q": (8, 8)},
    )
