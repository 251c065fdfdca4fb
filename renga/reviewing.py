"""A person looks at what is about to leave, and decides: hide more, hide less, now or always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from renga.client.sanitisation.decisions import OWNERS_WORD, hidden_always, hidden_never, occurrences
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import Entity, Kind, settled
from renga.client.sanitisation.rules import Rule, Rules, write_rules
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.errors import RengaError, UsageError, did_you_mean

HELP = """\
  ENTER            let it leave like this
  - NUMBER         don't hide it this time        never NUMBER   nor ever again
  + [KIND] TEXT    hide this too, this time       always TEXT    and from now on (always NUMBER, KIND TEXT)
  q                let nothing leave"""


class Reviewed(RengaError):
    """A person looked, and let nothing leave."""


@dataclass(frozen=True)
class Review:
    """Asks by `read` (a line; None at the end of input), shows by `tell`."""

    read: Callable[[], str | None]
    tell: Callable[[str], None]

    def settled(self, text: str, found: list[Entity], sanitiser: Sanitiser, desk: Desk) -> list[Entity]:
        """What is to be hidden. Decisions for good are written into the rules' file. Raises Reviewed."""
        self.tell(HELP)
        while True:
            self._show(text, found, sanitiser)
            line = self.read()
            if line is None or line.strip() in ("q", "quit"):
                raise Reviewed("nothing was sent")
            if not line.strip():
                return found
            try:
                found = self._decided(line.strip(), text, found, sanitiser, desk)
            except RengaError as error:  # nothing was sent, and the person is still here
                self.tell(" — ".join(part for part in (error.message, error.hint) if part))

    def _show(self, text: str, found: list[Entity], sanitiser: Sanitiser) -> None:
        for number, entity in enumerate(found, 1):
            rule = sanitiser.rules.rule(entity.kind)
            note = (
                ""
                if rule is Rule.REPLACE or entity.certainty >= OWNERS_WORD
                else f"  ({rule}: see sanitisation.toml)"
            )
            shown = " ".join(text[entity.start : entity.end].split())
            self.tell(f"  {number:>2}  {entity.kind:<14} {shown}{note}")
        if not found:
            self.tell("  nothing private was found")

    def _decided(
        self, line: str, text: str, found: list[Entity], sanitiser: Sanitiser, desk: Desk
    ) -> list[Entity]:
        verb, _, rest = line.partition(" ")
        if line[0] in "+-" and verb not in "+-":
            verb, rest = line[0], line[1:]
        rest = rest.strip()
        if verb == "-":
            gone = _numbered(rest, found)
            return [entity for entity in found if entity.value != gone.value or entity.kind != gone.kind]
        if verb == "never":
            gone = _numbered(rest, found)
            value = text[gone.start : gone.end]
            self._keep(hidden_never(desk.rules, value, desk.vault.open_value), sanitiser, desk)
            return [entity for entity in found if text[entity.start : entity.end] != value]
        if verb == "always" and rest.isdecimal():
            one = _numbered(rest, found)
            value = text[one.start : one.end]
            self._keep(hidden_always(desk.rules, one.kind, value, desk.vault.seal_value), sanitiser, desk)
            return found
        if verb in ("+", "always"):
            kind, value = _kind(rest)
            more = occurrences(text, kind, value)
            if not more and verb == "+":
                raise UsageError("that is not in the prompt")
            if verb == "always":
                self._keep(hidden_always(desk.rules, kind, value, desk.vault.seal_value), sanitiser, desk)
            return settled([*more, *found], text)
        raise UsageError(
            f"{verb!r} is none of them", hint=did_you_mean(verb, ["+", "-", "always", "never", "q"])
        )

    def _keep(self, rules: Rules, sanitiser: Sanitiser, desk: Desk) -> None:
        write_rules(desk.rules_file, rules)
        desk.reread()
        sanitiser.rules = desk.rules


def _numbered(text: str, found: list[Entity]) -> Entity:
    if not text.isdecimal() or not 1 <= int(text) <= len(found):
        raise UsageError(f"{text!r} is no number of the list", hint=f"1 to {len(found)}" if found else "")
    return found[int(text) - 1]


def _kind(text: str) -> tuple[Kind, str]:
    word, _, rest = text.partition(" ")
    if word in Kind.__members__ and rest.strip():
        return Kind(word), rest.strip()
    if not text:
        raise UsageError("hide what?", hint="+ TEXT")
    return Kind.PERSON, text
