"""An evaluation set for sanitisation: templates x drawn values x noise, every private span known by construction.

Each template belongs to one side by a hash of its text: what was looked at while building is never what judges.
The first volume has two, `build` and `judge`, and both have been read by now. The second was written later, without
a look at any detector; it has three: what its `judge` missed was mended on `build`, and `final` judges the mending.
The third was written by somebody who had read the detectors, before anything was mended on its account; it has two,
`judge` and `final`, and no side was read before it was scored. The fourth was written by somebody who never opened
a detector, while others mended them; it has the same two, and so have the fifth and the sixth, which two others
wrote in the same way. Same seed, same set.
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Literal
from urllib.parse import quote

from renga.client.sanitisation.entities import Kind
from renga.errors import UsageError
from renga.simulations.private_values import Drawn, Values
from renga.simulations.private_values_fifth import FifthValues
from renga.simulations.private_values_fourth import FourthValues
from renga.simulations.private_values_second import SecondValues
from renga.simulations.private_values_sixth import SixthValues
from renga.simulations.private_values_third import ThirdValues

Side = Literal["build", "judge", "final"]
Volume = Literal[1, 2, 3, 4, 5, 6]
SIDES: dict[Volume, tuple[Side, ...]] = {
    1: ("build", "judge"),
    2: ("build", "judge", "final"),
    3: ("judge", "final"),
    4: ("judge", "final"),
    5: ("judge", "final"),
    6: ("judge", "final"),
}
_FOLDERS: dict[Volume, str] = {
    1: "prompts",
    2: "prompts/second",
    3: "prompts/third",
    4: "prompts/fourth",
    5: "prompts/fifth",
    6: "prompts/sixth",
}
_VALUES: dict[Volume, type[Values]] = {
    1: Values,
    2: SecondValues,
    3: ThirdValues,
    4: FourthValues,
    5: FifthValues,
    6: SixthValues,
}
LANGUAGES = {
    "english": "en",
    "japanese": "ja",
    "others": "de/fr/es",
    "clean": "clean",
    "conversations": "conversation",
}
_SLOT = re.compile(r"\{([a-z_0-9]+)(#\d)?(?:\.([a-z]+))?\}")
_FULL_WIDTH = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})
_KANJI_DIGITS = str.maketrans("0123456789", "〇一二三四五六七八九")


@dataclass(frozen=True)
class Private:
    """One private value in a prompt: text[start:end] is of this kind."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class PrivatePrompt:
    """A prompt with its private spans; turns of one conversation share `conversation`."""

    text: str
    private: tuple[Private, ...]
    group: str
    noise: str
    conversation: str | None = None


def templates(name: str, side: Side | None, volume: Volume = 1) -> list[str]:
    """The templates of one file on one side (of all for None)."""
    file = files("renga.simulations").joinpath(_FOLDERS[volume], f"{name}.txt")
    whole = [part.strip("\n") for part in file.read_text(encoding="utf-8").split("\n===\n")]
    return [t for t in whole if side is None or side_of(t, volume) == side]


def side_of(template: str, volume: Volume = 1) -> Side:
    """Which side a template is on, for good."""
    digest, sides = sha256(template.encode()).digest(), SIDES[volume]
    return sides[digest[volume > 1] % len(sides)]


def part(seed: int, copies: int, volume: int, side: str) -> list[PrivatePrompt]:
    """The evaluation set of a side that a person named. Raises UsageError if there is none."""
    for which, sides in SIDES.items():
        for one in sides:
            if (which, one) == (volume, side):
                return evaluation_set(seed, one, copies, which)
    known = "; ".join(f"{which}: {', '.join(sides)}" for which, sides in SIDES.items())
    raise UsageError(f"volume {volume} has no side {side!r}", hint=known)


def evaluation_set(
    seed: int, side: Side | None = "judge", copies: int = 3, volume: Volume = 1
) -> list[PrivatePrompt]:
    """`copies` drawings of every template with private values, each clean prompt once."""
    values, rng = _VALUES[volume](seed), random.Random(seed)
    prompts: list[PrivatePrompt] = []
    for name in ("english", "japanese", "others"):
        for template in templates(name, side, volume):
            for copy in range(copies):
                noise = "plain" if copy == 0 else rng.choice(_NOISES[name])
                prompts.append(_filled(template, values, {}, LANGUAGES[name], noise, rng))
    for number, template in enumerate(templates("conversations", side, volume)):
        for copy in range(copies):
            drawn: dict[str, Drawn] = {}
            for turn in template.split("\n---\n"):
                key = f"{number}.{copy}"
                prompts.append(_filled(turn, values, drawn, "conversation", "plain", rng, key))
    clean = templates("clean", side, volume)
    return prompts + [PrivatePrompt(text, (), "clean", "plain") for text in clean]


_NOISES = {
    "english": (
        "plain",
        "lower",
        "no punctuation",
        "zero width",
        "homoglyph",
        "broken line",
        "percent",
        "base64",
        "full width",
    ),
    "japanese": ("plain", "full width", "kanji digits", "zero width", "broken line", "no spaces", "base64"),
    "others": ("plain", "lower", "zero width", "broken line"),
}
_ENCODED = frozenset({"mail_b64", "mail_pct", "mail_spelt"})
"""Slots that noise would ruin: what is written there could not be read back."""
_NUMBERS = frozenset({Kind.PHONE, Kind.CREDIT_CARD, Kind.NATIONAL_ID, Kind.BANK_ACCOUNT, Kind.HEALTH_ID})


def _filled(
    template: str, values: Values, drawn: dict[str, Drawn], group: str, noise: str, rng: random.Random, key: str | None = None
) -> PrivatePrompt:  # fmt: skip
    parts: list[str] = []
    private: list[Private] = []
    length = done = 0
    for match in _SLOT.finditer(template):
        slot = f"{match[1]}{match[2] or ''}"
        if slot not in drawn:
            drawn[slot] = values.draw(match[1])
        one = drawn[slot]
        text = one.forms[match[3]] if match[3] else one.text
        kind = Kind.EMAIL if match[3] == "email" else one.kind
        text = text if match[1] in _ENCODED else _noisy(text, kind, noise, rng)
        before = _around(template[done : match.start()], noise)
        parts += [before, text]
        private.append(Private(length + len(before), length + len(before) + len(text), kind))
        length += len(before) + len(text)
        done = match.end()
    parts.append(_around(template[done:], noise))
    return PrivatePrompt("".join(parts), tuple(private), group, noise, key)


def _around(text: str, noise: str) -> str:
    """What a noise does to the words around the values."""
    if noise == "lower":
        return text.lower()
    if noise == "no punctuation":
        return re.sub(r"[.,;:!?](?=\s|$)", "", text)
    return text.replace(" ", "") if noise == "no spaces" else text


def _noisy(text: str, kind: Kind, noise: str, rng: random.Random) -> str:
    """One value under one noise; noises that would not happen to its kind leave it."""
    numeric = kind in _NUMBERS and any(c.isdigit() for c in text)
    if noise == "lower":
        return text.lower() if kind in (Kind.PERSON, Kind.ADDRESS, Kind.EMAIL) else text
    if noise == "zero width" and len(text) > 4 and kind is not Kind.URL:
        at = rng.randint(1, len(text) - 1)
        return f"{text[:at]}\u200b{text[at:]}"
    if noise == "homoglyph" and kind in (Kind.EMAIL, Kind.PERSON):
        return text.replace("o", "о", 1).replace("a", "а", 1)
    if noise == "full width" and (numeric or kind in (Kind.EMAIL, Kind.DOB)):
        return text.translate(_FULL_WIDTH)
    if noise == "kanji digits" and numeric and text.isascii():
        return text.translate(_KANJI_DIGITS)
    if noise == "broken line" and numeric:
        gaps = [m.end() for m in re.finditer(r"[\- ]", text)]
        return f"{text[: gaps[-1]]}\n{text[gaps[-1] :]}" if gaps else text
    if noise == "percent" and kind is Kind.EMAIL:
        return quote(text, safe="")
    if noise == "base64" and kind is Kind.EMAIL:
        return base64.b64encode(text.encode()).decode()
    return text


def conversations(prompts: list[PrivatePrompt]) -> Iterator[list[PrivatePrompt]]:
    """Prompts by conversation, in order; a prompt outside of one is a conversation of one turn."""
    current: list[PrivatePrompt] = []
    for prompt in prompts:
        if current and (prompt.conversation is None or prompt.conversation != current[0].conversation):
            yield current
            current = []
        current.append(prompt)
    if current:
        yield current
