"""The deterministic layer: every recogniser over every reading of the text. It always runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from renga.client.sanitisation.addresses import addresses
from renga.client.sanitisation.addresses_ja import addresses_ja
from renga.client.sanitisation.checked_numbers import cards, ibans, national_ids, plates, wallets
from renga.client.sanitisation.codes import codes
from renga.client.sanitisation.contacts import emails, ip_addresses, mac_addresses, urls
from renga.client.sanitisation.dates import births
from renga.client.sanitisation.entities import Deadline, Entity, Kind, Known
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.handles import handles
from renga.client.sanitisation.labelled import labelled, usernames
from renga.client.sanitisation.normal import normal
from renga.client.sanitisation.passphrases import passphrases
from renga.client.sanitisation.phones import phones
from renga.client.sanitisation.records import records
from renga.client.sanitisation.secret_files import secret_files
from renga.client.sanitisation.secret_values import secrets
from renga.client.sanitisation.shadow import Shadow, base64_runs, decoded, hex_runs, shadow
from renga.client.sanitisation.tables import columns
from renga.client.sanitisation.told_secrets import told_secrets

Recogniser = Callable[[str], Iterator[Found]]
_ON_DIGITS: tuple[Recogniser, ...] = (
    cards,
    ibans,
    national_ids,
    phones,
    labelled,
    births,
    addresses,
    plates,
    records,
)
_ON_TEXT: tuple[Recogniser, ...] = (
    addresses_ja,
    emails,
    urls,
    ip_addresses,
    mac_addresses,
    usernames,
    handles,
    wallets,
    secrets,
    told_secrets,
    passphrases,
    codes,
    secret_files,
    columns,
)
_NESTED = 3
"""Readings inside readings: base64 of percent-encoded text and the like, no deeper."""

_HAS_DIGIT = re.compile("[0-9]")


class Formats:
    """Detector of what can be told by its form. Linear in the length of the text."""

    name = "formats"

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        entities: dict[tuple[int, int, Kind], Entity] = {}
        for view, found in _readings(text, deadline, _NESTED):
            start, end = view.span(found.start, found.end)
            key = (start, end, found.kind)
            if key not in entities:
                value = normal(found.kind, view.text[found.start : found.end])
                entities[key] = Entity(start, end, found.kind, value, certainty=found.certainty)
        return list(entities.values())


def _readings(text: str, deadline: Deadline, depth: int) -> Iterator[tuple[Shadow, Found]]:
    view: Shadow | None = shadow(text)
    for _ in range(depth):
        if view is None:
            return
        for found in recognised(view, deadline):
            yield view, found
        for start, end, inner in (*base64_runs(view), *hex_runs(view)):
            for kind in _inside(inner, deadline, depth - 1):
                yield view, Found(start, end, kind, 0.9)
        view = decoded(view)


def _inside(text: str, deadline: Deadline, depth: int) -> list[Kind]:
    """What kinds an encoded text holds; one is enough to hide all of it."""
    if depth <= 0:
        return []
    return sorted({found.kind for _, found in _readings(text, deadline, depth)})[:1]


def recognised(view: Shadow, deadline: Deadline) -> Iterator[Found]:
    """Every recogniser's spans in one reading."""
    if _HAS_DIGIT.search(view.digits):
        for recogniser in _ON_DIGITS:
            deadline.check()
            yield from recogniser(view.digits)
    for recogniser in _ON_TEXT:
        deadline.check()
        yield from recogniser(view.text)
