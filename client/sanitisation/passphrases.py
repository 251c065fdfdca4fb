"""Passphrases: words in a row that make no sentence, where somebody speaks of getting in.

`the wifi key is falcon jigsaw pebble lantern`, `(lakshmi, igloo-otter-cobweb-lantern)`. Four words and more with
none of the small ones that sentences need, and none of those that say how a password is; three in quotation marks.
Twelve words in a row without one small word are a wallet's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, any_of
from renga.client.sanitisation.lexicon import listed
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_CUE = any_of(
    r"""
    pass\s?words? pass\s?phrases? pass\s?codes? pw pwd psk wi-?fi wlan passwort kennwort schlüssel zugangscode
    contrase[ñn]a clave mdp login credentials creds
    """
) + "|(?:wi-?fi|wlan|network|router)[ ]key|mot de passe|clé du wi-?fi|パスワード|パスフレーズ|パス(?![ァ-ヴー])|ワイファイ|暗証|合言葉"  # fmt: skip
_WORD = "[a-zà-ÿ]{3,12}"
_TIES = "[ ]", "-", r"\.", "_"
_FOUR = "|".join(f"{_WORD}(?:{tie}{_WORD}){{3,7}}" for tie in _TIES)
_THREE = "|".join(f"{_WORD}(?:{tie}{_WORD}){{2,7}}" for tie in _TIES)
_END = r"(?=[\"'“”’»」,;:)。、!?\n]|\.(?:\s|$)|[ ]?$|[ ](?:y|and|und|et|but|please|pls|for|on|from)[ ]|の|で|です)"
_TOLD = Scanned(
    rf"(?<![A-Za-z])(?:{_CUE})(?![a-z])(?:[ ](?:for|to|of|on|at|del?|für|vom|der|des|du|pour)[ ][^.,:;\n\"]{{2,28}}?)?"
    r"(?:[ ](?:is|was|es|era|ist|war|est|était)|[ ]?[:=]|のほうは|の方は|は|が|,[ ]it's)[ ]{0,2}"
    rf"({_FOUR}){_END}"
)
_QUOTED = Scanned(rf"(?<![A-Za-z])(?:{_CUE})(?![a-z])[^\n\"“«「]{{0,24}}?[\"“«「]({_THREE})[\"”»」]", re.I)
_KEY_OF_NETWORK = Scanned(
    rf"(?<![A-Za-z])(?:network|netz|wi-?fi|ssid|red|réseau)[ :][^\n]{{2,48}}?,[ ](?:key|password|pw|clave|clé)[ ]({_FOUR}){_END}",
    re.I,
)
_BESIDE_LOGIN = Scanned(rf"[(\[]([a-z][\w.\-]{{2,31}}),[ ]({_FOUR})[)\]]")
_GIVEN = Pattern(r"(?<![a-z])(?:log(?:[ -]?in|ged)|creds?|credentials|account|gave me|admin)(?![a-z])", re.I)

_LETTERS = Pattern("[a-zà-ÿ]+")
_SMALL = listed("small words")
_SAYS_HOW = Pattern(
    r".*(?:ed|ing|ly|ive|able|ible)|case|wrong|correct|invalid|long|short|weak|strong|safe|same|sent|kept|set|lost|stolen|known"
    r"|reset|login|password|never|always|must|only|here|there|more|less|least|most|you|she|who|how|why|does|did|will"
    r"|que|para|por|con|una|los|las|und|der|die|das|nicht|mit|auf|les|des|une|pas|est"
)

_WORDS = Pattern(
    r"(?<![A-Za-z])[a-z]{3,8}(?:(?:[ ]{1,2}|,[ ]|[ ,]?\n|[ ,.\n]{1,3}[0-9]{1,2}[.)][ ]?)[a-z]{3,8}){11,24}(?![A-Za-z])"
)
_SEED_TALK = Pattern(
    r"seed|mnemonic|recovery|ledger|trezor|metamask|wallet|phantom|(?:12|24|twelve|twenty-four)[ -]words?|シード|リカバリ|復元|ウォレット",
    re.I,
)
_PHRASE = Scanned(
    r"(?:pass ?phrase|パスフレーズ)(?:[ ](?:for|to|of)[ ][\w ]{1,24}?)?(?:[ ](?:is|was|=)|[:：=]|は)[ ]{0,2}[\"'「]?([a-z]{3,12}(?:[ ][a-z]{3,12}){2,8})(?=[\"'」.,;!?)\n]|[ ]*$)",
    re.I | re.M,
)
_USED_AS = Scanned(
    r"(?:use|used|using|try|enter|typed?|set)[ ][\"']?([a-z]{3,12}(?:[ \-][a-z]{3,12}){3,7})[\"']?[ ](?:as|for)[ ](?:\w+[ ]){0,2}(?:pass\w{3,6}|password|pw)",
    re.I,
)
_TIED = Scanned(r"(?<![A-Za-z])passphrase[ ]([A-Za-z]{2,}(?:[\-_.][A-Za-z]{2,}){2,6})(?![\w\-])", re.I)


def passphrases(text: str) -> Iterator[Found]:
    """Every passphrase that one reading tells."""
    for pattern in (_TOLD, _QUOTED, _KEY_OF_NETWORK):
        for match in matches(pattern, text):
            if _says_nothing(match[1]):
                yield Found(*match.span(1), Kind.SECRET, 0.86)
    for match in matches(_BESIDE_LOGIN, text):
        if _says_nothing(match[2]) and _GIVEN.search(text, max(0, match.start() - 80), match.start()):
            yield Found(*match.span(1), Kind.USERNAME, 0.84)
            yield Found(*match.span(2), Kind.SECRET, 0.86)

    for match in matches(_TIED, text):
        yield Found(*match.span(1), Kind.SECRET, 0.84)
    yield from _phrases(text)


def _phrases(text: str) -> Iterator[Found]:
    for match in matches(_PHRASE, text):
        if not _SMALL & set(match[1].lower().split()):
            yield Found(*match.span(1), Kind.SECRET, 0.9)
    for match in matches(_USED_AS, text):
        yield Found(*match.span(1), Kind.SECRET, 0.86)
    for match in _WORDS.finditer(text):
        said = re.findall("[a-z]+", match[0])
        if _SMALL & set(said):
            continue
        alone = text[match.end() : match.end() + 1] in ("", "\n") and text[
            max(0, match.start() - 1) : match.start()
        ] in ("", "\n")
        if _SEED_TALK.search(text, max(0, match.start() - 80), match.start()) or (
            alone and "," not in match[0] and len(said) in (12, 15, 18, 21, 24) and len(set(said)) > 9
        ):
            yield Found(*match.span(), Kind.SECRET, 0.94)


def _says_nothing(phrase: str) -> bool:
    """Has it no word that a sentence needs, and none twice?"""
    said = _LETTERS.findall(phrase.lower())
    return (
        len(set(said)) == len(said)
        and not _SMALL & set(said)
        and not any(_SAYS_HOW.fullmatch(word) for word in said)
    )
