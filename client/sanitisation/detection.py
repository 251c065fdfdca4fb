"""The detectors that come with Renga, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Sequence

from renga.client.sanitisation.entities import Detector
from renga.client.sanitisation.formats import Formats


def detectors(*, names: bool = True, plugged: Sequence[Detector] = ()) -> tuple[Detector, ...]:
    """What `find` asks: the deterministic layer always, persons unless `names` is False, then what the owner
    plugged in (`presidio.Presidio`, or anything with `detect`)."""
    if not names:
        return (Formats(), *plugged)
    from renga.client.sanitisation.names import Names  # reads name lists when first used

    return (Formats(), Names(), *plugged)
