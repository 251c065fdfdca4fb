"""`sanitisation.toml`: what to do with each kind of private text, and what its owner decided once and for
all.

Nobody but the owner writes it. Values that are always hidden are private themselves, so Renga writes them
sealed with the vault's key; values that are never hidden are public by their owner's word, and stand as they
are.
"""

from __future__ import annotations

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from renga.client.owners_file import read_owners_file
from renga.client.sanitisation.entities import QUASI, Kind
from renga.errors import RengaError, UsageError, did_you_mean
from renga.protocol.key_files import write_secret

_NEVER = re.compile(r"^never\s*=\s*\[[^\]]*\][^\n]*\n?", re.MULTILINE)


class Rule(StrEnum):
    """What happens to a span of some kind."""

    REPLACE = "replace"
    COARSEN = "coarsen"
    BLOCK = "block"
    ALLOW = "allow"


class Style(StrEnum):
    """What stands for what is replaced: a tag, or something realistic for people's `names` alone, or for
    everything."""

    TAG = "tag"
    NAMES = "names"
    REALISTIC = "realistic"

    def tags(self, kind: str) -> bool:
        """Whether a span of this kind gets a tag."""
        return self is Style.TAG or (self is Style.NAMES and kind != Kind.PERSON)


class Always(BaseModel):
    """A value that is hidden wherever it stands: `text` as its owner wrote it, or `sealed` as Renga did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    text: str = ""
    sealed: str = ""

    @model_validator(mode="after")
    def _says_what(self) -> Always:
        if not self.text and not self.sealed:
            raise ValueError("it has no text")
        return self


class Rules(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: Style = Field(
        Style.NAMES,
        description="tag: `<PERSON_1_k7q>`; names: a name for a name, tags for the rest; realistic: all of it",
    )
    kinds: dict[Kind, Rule] = Field(
        default_factory=dict, description="a rule per kind; replace, but allow for ORG and LOCATION"
    )
    never: tuple[str, ...] = Field((), description="values that are not private, whatever they look like")
    always: tuple[Always, ...] = Field((), description="values that are private, whatever they look like")
    restore_into: tuple[str, ...] = Field(
        (), description="where an answer's surrogates are restored too: link, target, attribute, tools"
    )
    plug_in: tuple[str, ...] = Field(
        (), description="detectors of one's own, MODULE:NAME or FILE.py:NAME; see `plugged`"
    )
    keep_days: Annotated[float, Field(gt=0)] = Field(
        30.0, description="conversations that lie unused for so long are erased"
    )

    @field_validator("restore_into")
    @classmethod
    def _sinks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = {"link", "target", "attribute", "tools"}
        if wrong := sorted(set(value) - known):
            raise ValueError(f"there is no {wrong[0]!r}; {did_you_mean(wrong[0], known)}")
        return value

    def rule(self, kind: str) -> Rule:
        """What to do with spans of this kind."""
        default = Rule.ALLOW if kind in QUASI else Rule.REPLACE
        return self.kinds.get(Kind(kind), default)


def read_rules(path: Path) -> Rules:
    """The rules in a file, or the defaults if there is none. Raises UsageError for what is wrong with it."""
    return read_owners_file(path, Rules, _known_kinds)


def _known_kinds(written: dict[str, Any]) -> None:
    kinds = written.get("kinds", {})
    for name in kinds if isinstance(kinds, dict) else ():
        if name not in Kind.__members__:
            raise UsageError(f"there is no kind {name!r}", hint=did_you_mean(name.upper(), Kind.__members__))


def write_rules(path: Path, rules: Rules) -> None:
    """Write them, whole or not at all. A file with comments is its owner's: a decision is written into it, and
    the rest left as it is. Raises RengaError if the disk won't take them, or if that can't be done."""
    import tomli_w

    before = path.read_text("utf-8") if path.exists() else ""
    text = _decided(before, rules) if "#" in before else tomli_w.dumps(_written(rules))
    write_secret(path, text.encode())


def _written(rules: Rules) -> dict[str, Any]:
    written: dict[str, Any] = rules.model_dump(mode="json", exclude_defaults=True)
    for entry in written.get("always", ()):
        for key in [key for key, value in entry.items() if not value]:
            del entry[key]
    return written


def _decided(text: str, rules: Rules) -> str:
    """An owner's file with the decisions of `rules` in it; what it then means is compared with them."""
    import tomli_w

    written, now = _written(rules), Rules.model_validate(tomllib.loads(text))
    if rules.never != now.never:
        line = tomli_w.dumps({"never": written.get("never", [])}).strip()
        text = f"{line}\n{_NEVER.sub('', text, count=1)}"
    for old, new in zip(now.always, rules.always, strict=False):
        text = text.replace(old.sealed, new.sealed) if old.sealed and new.sealed else text  # by a new key
    for entry in written.get("always", [])[len(now.always) :]:
        text = f"{text.rstrip()}\n\n[[always]]\n{tomli_w.dumps(entry)}"
    try:
        same = Rules.model_validate(tomllib.loads(text)) == rules
    except (tomllib.TOMLDecodeError, ValidationError):
        same = False
    if not same:
        raise RengaError(
            "this decision can't be written into sanitisation.toml without losing its comments",
            hint="take them out, or edit it by hand",
        )
    return text
