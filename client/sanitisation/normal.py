"""Normal forms: what two spellings of one value have in common."""

from __future__ import annotations

import re
import unicodedata

from renga.client.sanitisation.entities import Kind

_COMPACT = frozenset(
    {
        Kind.PHONE,
        Kind.CREDIT_CARD,
        Kind.IBAN,
        Kind.BANK_ACCOUNT,
        Kind.NATIONAL_ID,
        Kind.PASSPORT,
        Kind.DRIVER_LICENSE,
        Kind.HEALTH_ID,
        Kind.VEHICLE_PLATE,
        Kind.MAC_ADDRESS,
        Kind.ACCOUNT_ID,
    }
)
_FOLDED = frozenset({Kind.PERSON, Kind.ADDRESS, Kind.ORG, Kind.LOCATION, Kind.DOB})


def normal(kind: Kind, text: str) -> str:
    """The normal form of `text` (already free of disguises) as a value of `kind`."""
    text = unicodedata.normalize("NFKC", text)
    if kind in _COMPACT:
        return re.sub(r"[^\w+]|_", "", text).upper()
    if kind is Kind.EMAIL:
        return re.sub(r"\s", "", text).lower()
    if kind is Kind.USERNAME:
        return text.lstrip("@").lower()
    if kind in _FOLDED:
        return re.sub(r"\s+", " ", text).casefold().strip()
    return text
