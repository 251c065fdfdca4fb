"""One seed for a run, and from it one for everything that is drawn, by name.

Names, not places in a list: a client that joins or leaves changes nobody else's numbers.
"""

from __future__ import annotations

import hashlib


def derived(seed: int, *names: str | int) -> int:
    """A 63-bit seed for what `names` name, from the run's `seed`."""
    text = "\0".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
