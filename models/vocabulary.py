"""A tokenizer, seen as what it is to everything else here: ids and the bytes they stand for.

Bytes are the common ground of models whose tokens differ, so they must be exact. What an id stands for
is not looked up by the tokenizer's class: rules are tried on probe texts, and the first that gives back
every probe's bytes is the one. The same probes show whether the tokenizer puts a space before a text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, groupby
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Vocabulary:
    """Ids, the bytes each stands for, and the encoding of text that continues other text.

    size: ids run from 0 to size - 1; a model may have further output rows, which name no token.
    end: the id that ends an answer. specials: the ids that stand for no bytes, `end` among them.
    Safe to use from several threads, as long as they use the tokenizer through this object only.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end: int) -> None:
        """Raises RengaError, naming the tokenizer, when no rule gives back the bytes of all probes."""
        self._tokenizer = tokenizer
        self._lock = Lock()
        self.name = str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
        added = tokenizer.added_tokens_decoder
        ids_of = tokenizer.get_vocab()
        self.size = 1 + max((*ids_of.values(), *added))
        if not 0 <= end < self.size:
            raise RengaError(
                f"end id {end} lies outside the vocabulary of {self.name}, 0 to {self.size - 1}",
                hint="give the id of the token that ends an answer",
            )
        self.end = end
        names = [""] * self.size
        for name, id in ids_of.items():
            names[id] = name
        for id, token in added.items():
            names[id] = str(token.content)
        silent = {id for id, token in added.items() if token.special} | set(tokenizer.all_special_ids) | {end}
        # An id that no token names can't be spelled either.
        silent |= {id for id, name in enumerate(names) if not name}
        self.specials = frozenset(int(id) for id in silent)
        self._names = {id: names[id] for id in sorted(self.specials)}
        plain = {int(id) for id in added} - self.specials

        def spell(rule: _Rule, ids: Sequence[int]) -> list[bytes]:
            # Added tokens are written as text even where the others are in byte-level letters.
            written = _plain if rule is _byte_level else rule
            return [
                b"" if id in silent else written(names[id]) if id in plain else rule(names[id]) for id in ids
            ]

        rule, self._anchored = self._find_rule(spell)
        self._bytes = spell(rule, range(self.size))

    def encode(self, text: str) -> list[int]:
        """Ids of a text that continues other text: no beginning-of-text, no space put before it.

        What looks like a special token in `text` is text. The ids' bytes are exactly `text.encode()`;
        RengaError when the vocabulary can't spell that.
        """
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in one batch."""
        result = []
        for text, ids in zip(texts, self.attempt_many(texts), strict=True):
            if ids is None:
                raise RengaError(
                    f"the tokenizer of {self.name} can't spell {self._culprit(text)}",
                    hint="remove it from the text, or use a model whose tokenizer knows all bytes",
                )
            result.append(ids)
        return result

    def attempt_many(self, texts: Sequence[str]) -> list[list[int] | None]:
        """`encode` of each text, None where the vocabulary can't spell it."""
        utf8 = [_utf8(text) for text in texts]
        attempts = self._exact_many(texts, utf8)
        for i, bytes_ in enumerate(utf8):
            if attempts[i] is None and bytes_ is not None:
                attempts[i] = self._mended(texts[i])
        return attempts

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids that spell `data`, which may begin or end within a character, or be no text at all.

        Whole characters are encoded as text, other bytes one by one. Raises RengaError if a byte has no id.
        """
        ids: list[int] = []
        # Bytes that are no UTF-8 become halves of broken characters, each of which is one byte again.
        for broken, part in groupby(
            data.decode("utf-8", "surrogateescape"), lambda c: "\udc80" <= c <= "\udcff"
        ):
            text = "".join(part)
            if not broken:
                ids += self.encode(text)
                continue
            for byte in text.encode("utf-8", "surrogateescape"):
                if byte not in self._byte_ids:
                    raise RengaError(f"the tokenizer of {self.name} can't spell the byte 0x{byte:02x}")
                ids.append(self._byte_ids[byte])
        return ids

    def id_of(self, data: bytes) -> int | None:
        """The lowest id that stands for exactly `data`; None if no single token does."""
        return self._ids_of_bytes.get(data)

    @cached_property
    def _ids_of_bytes(self) -> dict[bytes, int]:
        return {self._bytes[id]: id for id in reversed(range(self.size)) if self._bytes[id]}

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        """The bytes that ids stand for together. Raises RengaError on an id outside the vocabulary."""
        if len(ids) and (min(ids) < 0 or max(ids) >= self.size):
            raise RengaError(
                f"an id lies outside the vocabulary of {self.name}, 0 to {self.size - 1}",
                hint="the ids come from another model",
            )
        return b"".join([self._bytes[id] for id in ids])

    def token_bytes(self, id: int) -> bytes:
        """The bytes that one id stands for, b"" for specials. Raises RengaError outside the vocabulary."""
        return self.bytes_of((id,))

    def lengths(self) -> NDArray[np.int32]:
        """Bytes per id, 0 for specials: int32 [size], not writable."""
        return self._lengths

    @property
    def special_names(self) -> Mapping[int, str]:
        """The name of each special id; empty where an id has none."""
        return self._names

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the bytes of every id and the names of the specials: what ids mean.

        Not in it: which special is `end`, and how text is cut into tokens.
        """
        digest = hashlib.sha256()
        digest.update(self._lengths.astype("<i4").tobytes())
        digest.update(b"".join(self._bytes))
        for id, name in self._names.items():
            digest.update(f"\0{id}\0{name}".encode())
        return digest.hexdigest()

    @cached_property
    def _lengths(self) -> NDArray[np.int32]:
        lengths = np.fromiter(map(len, self._bytes), dtype=np.int32, count=self.size)
        lengths.flags.writeable = False
        return lengths

    @cached_property
    def _byte_ids(self) -> dict[int, int]:
        """For each byte the lowest id that stands for it alone."""
        return {self._bytes[id][0]: id for id in reversed(range(self.size)) if len(self._bytes[id]) == 1}

    def _find_rule(self, spell: Callable[[_Rule, Sequence[int]], list[bytes]]) -> tuple[_Rule, bool]:
        """The rule that gives back all probes, and whether a text must be encoded behind an anchor."""
        probes = (*_PROBES, _MARK)
        alone = self._raw(probes)
        behind = self._raw([_ANCHORS[0] + probe for probe in probes])
        # A rule that also keeps a literal "▁" apart from a space is the better one, if there is one.
        for tried in (len(probes), len(_PROBES)):
            for rule in (_byte_level, _metaspace, _plain):
                for anchored, encoded in ((False, alone), (True, behind)):
                    if all(
                        _cut(spell(rule, ids), probe.encode(), anchored) is not None
                        for probe, ids in zip(probes[:tried], encoded[:tried], strict=True)
                    ):
                        return rule, anchored
        raise RengaError(
            f"no rule gives back the bytes of the tokens of {self.name}",
            hint="use a model whose tokenizer keeps text as it is: byte-level or with byte fallback",
        )

    def _raw(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        with self._lock:
            encoded = self._tokenizer(
                list(texts),
                add_special_tokens=False,
                split_special_tokens=True,  # "<eos>" in a text is five characters, not an end
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _exact_many(self, texts: Sequence[str], utf8: Sequence[bytes | None]) -> list[list[int] | None]:
        """Each text tokenised as a whole; None where this changes its bytes."""
        result: list[list[int] | None] = [None] * len(texts)
        left = [i for i, bytes_ in enumerate(utf8) if bytes_ is not None]
        # An anchor may grow together with the text behind it ("\n" with a newline): then the next is tried.
        for anchor in _ANCHORS if self._anchored else ("",):
            encoded = self._raw([anchor + texts[i] for i in left])
            for i, ids in zip(left, encoded, strict=True):
                cut = _cut([self._bytes[id] for id in ids], utf8[i] or b"", self._anchored)
                result[i] = None if cut is None else ids[cut:]
            left = [i for i in left if result[i] is None]
            if not left:
                break
        return result

    def _mended(self, text: str) -> list[int] | None:
        """Encode a text in pieces where tokenising it whole changes its bytes.

        That happens where a normaliser composes accents, or "▁" is written as such. Halving costs
        O(n log n) whatever the text holds; a character that stays wrong alone is spelled in bytes.
        """
        done: list[int] = []
        waiting = [text]
        while waiting:
            piece = waiting.pop()
            ids = self._exact_many([piece], [piece.encode()])[0]
            if ids is not None:
                done += ids
            elif len(piece) == 1:
                spelled = [self._byte_ids.get(byte) for byte in piece.encode()]
                if None in spelled:
                    return None
                done += [id for id in spelled if id is not None]
            else:
                half = len(piece) // 2
                space = piece.rfind(" ", max(1, half // 2), half)  # rather between words
                at = space if space > 0 else half
                waiting += [piece[at:], piece[:at]]
        return done

    def _culprit(self, text: str) -> str:
        for character in text:
            if self.attempt_many([character])[0] is None:
                return f"the character U+{ord(character):04X}"
        return f"the text {text[:20]!r}"


_Rule = Callable[[str], bytes]

_ANCHORS = ("\n", "x", ".", "0")
_MARK = "▁ ▁▁"

# Characters of one to four bytes, nearly every continuation byte, spaces in all places, marks that compose
# with nothing: unchanged by Unicode's composition (NFC), which `_mended` works around.
_PROBES = (
    "Hello, world! 0123456789 (a+b)*c = {x: [y]} <z> \"q\" 'r' #$%&@^_`|~\\/",
    " one space, then  two   three",
    "a\nb\n\nc\td\t\te \n f",
    "naïve café Ærøskøbing çà étude; ĄĆĘŁŃÓŚŹŻ ßñõ ¿¡«»",
    "Привет, мир. Γειά σου. שלום مرحبا नमस्ते",
    "連歌は、複数の詩人が一つの詩を作る。カタカナ 한국어",
    "👩‍👩‍👧 🎋 𝒳 𐍈 ⌘",
    "x\u0323\u0304 q\u0307 क्‍ष",
    " x",
    "x ",
)


def _gpt2_letters() -> dict[int, str]:
    """GPT-2's byte-level alphabet, letter -> the character of the byte's number: printable bytes are
    themselves, the others take the letters from U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    return {byte: chr(byte) for byte in printable} | {256 + n: chr(byte) for n, byte in enumerate(others)}


_LETTERS = _gpt2_letters()
_NO_LETTERS = re.compile("[^" + re.escape("".join(map(chr, _LETTERS))) + "]")
_BYTE_TOKEN = re.compile("<0x([0-9A-Fa-f]{2})>")


def byte_letter(byte: int) -> str:
    """The letter that stands for a byte in the names of byte-level tokens."""
    return next(chr(letter) for letter, stands_for in _LETTERS.items() if ord(stands_for) == byte)


def _byte_level(name: str) -> bytes:
    if _NO_LETTERS.search(name):
        return name.encode()
    return name.translate(_LETTERS).encode("latin-1")


def _metaspace(name: str) -> bytes:
    if len(name) == 6 and (byte := _BYTE_TOKEN.fullmatch(name)):
        return bytes([int(byte[1], 16)])
    return name.replace("▁", " ").encode()


def _plain(name: str) -> bytes:
    return name.encode()


def _cut(pieces: Sequence[bytes], wanted: bytes, anchored: bool) -> int | None:
    """From which piece on the pieces spell `wanted`, to the end; None if from nowhere.

    Not anchored, that must be the first piece.
    """
    if not anchored:
        return 0 if b"".join(pieces) == wanted else None
    if not b"".join(pieces).endswith(wanted):
        return None
    lengths = list(accumulate(map(len, reversed(pieces)), initial=0))
    if len(wanted) not in lengths:
        return None
    return len(pieces) - lengths.index(len(wanted))


def _utf8(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: not text
        return None
