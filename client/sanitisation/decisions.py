"""What an owner decided about single values: always hidden, or never."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from renga.client.sanitisation.entities import Deadline, Entity, Kind, Known
from renga.client.sanitisation.rules import Always, Rules

OWNERS_WORD = 2.0  # the certainty of a span whose owner wants it hidden, even where the rules allow its kind


@dataclass
class Decided:
    """A detector of what is always hidden, wherever it stands and in whatever case."""

    values: tuple[tuple[Kind, str], ...]
    name: str = "always"

    @classmethod
    def of(cls, rules: Rules, opened: Callable[[str], str]) -> Decided:
        """`opened`: of a sealed value (see `Vault.open_value`). Raises what that raises."""
        return cls(tuple((one.kind, one.text or opened(one.sealed)) for one in rules.always))

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        found = []
        for kind, value in self.values:
            deadline.check()
            found += occurrences(text, kind, value)
        return found


def occurrences(text: str, kind: Kind, value: str) -> list[Entity]:
    """Every place of `value` in `text`; whole words only, where it begins or ends with a Latin letter."""
    if not value.strip():
        return []
    words = r"\s+".join(map(re.escape, value.split()))
    left = r"(?<![A-Za-z0-9])" if re.match(r"[A-Za-z0-9]", value.strip()) else ""
    right = r"(?![A-Za-z0-9])" if re.search(r"[A-Za-z0-9]$", value.strip()) else ""
    normal = " ".join(value.split()).casefold()
    return [
        Entity(match.start(), match.end(), kind, normal, certainty=OWNERS_WORD)
        for match in re.finditer(left + words + right, text, re.IGNORECASE)
    ]


def hidden_always(rules: Rules, kind: Kind, value: str, seal: Callable[[str], str]) -> Rules:
    """The rules with `value` always hidden, sealed as `Vault.seal_value` does."""
    never = tuple(one for one in rules.never if one.casefold() != value.casefold())
    return rules.model_copy(
        update={"always": (*rules.always, Always(kind=kind, sealed=seal(value))), "never": never}
    )


def hidden_never(rules: Rules, value: str, opened: Callable[[str], str]) -> Rules:
    """The rules with `value` never hidden."""
    kept = tuple(
        one for one in rules.always if (one.text or opened(one.sealed)).casefold() != value.casefold()
    )
    never = rules.never if value in rules.never else (*rules.never, value)
    return rules.model_copy(update={"always": kept, "never": never})
