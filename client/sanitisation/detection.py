"""The detectors that come with Renga, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from renga.client.sanitisation.entities import QUASI, Detector, Kind
from renga.client.sanitisation.formats import Formats


def detectors(
    *, names: bool = True, also: Collection[Kind] = (), plugged: Sequence[Detector] = ()
) -> tuple[Detector, ...]:
    """What `find` asks: the deterministic layer always, persons unless `names` is False, organisations and
    places if they are among `also`, then what the owner plugged in (`presidio.Presidio`, or anything with
    `detect`)."""
    found: list[Detector] = [Formats()]
    if names:
        from renga.client.sanitisation.names import Names  # reads name lists when first used

        found.append(Names())
    if QUASI & set(also):
        from renga.client.sanitisation.quasi import Quasi

        found.append(Quasi(also))
    return (*found, *plugged)
