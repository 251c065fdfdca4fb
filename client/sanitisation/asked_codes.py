"""Codes that are given where they were asked for, or where they are typed, without being called one.

The answer in a chat (`code for the gate?` and then a line of digits), `front door: 9430`, `le coffre, c'est 7771`,
`authenticator says 257154`, the last text of an API client's constructor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, any_of
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches
from renga.client.sanitisation.told_secrets import CODE

_CALLED = any_of(r"codes? pins? pincode passcode pass\s?words? pw combo combination digicode passwort contraseña clave mdp") + "|mot de passe|暗証番号|パスワード|コード"  # fmt: skip
_SPEAKER = r"(?:\[[^\]\n]{3,20}\][ ]?|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?[ \-]{1,3})?[^\s:\n][^:\n]{0,24}:[ ]"
_ASKED = Scanned(
    rf"(?<![A-Za-z])(?:{_CALLED})(?![a-z])[^\n?？]{{0,40}}[?？][ ]?\n(?:{_SPEAKER})?{CODE}(?=[ ]?[.!,]?(?:\n|$|[ ][a-z]))",
    re.I,
)
_DOOR = (
    r"(?:front|back|side|street|outer|inner|main|building|garage|garden|lobby)[ ](?:door|gate|entrance)"
    r"|haustür|hoftor|tresor|garagentor|portail|coffre|porte d'entrée|portal|caja fuerte|puerta|cancela"
)
_AT_DOOR = Scanned(
    rf"(?<![A-Za-z])(?:{_DOOR})(?:[ ](?:del?|du|vom|der)[ ][a-zà-ÿ]{{2,16}})?"
    rf"(?:[ ]?[:=]|,?[ ](?:is|c'est|est|ist|es|lautet|hat)|[ ]?→)?[ ]{CODE}",
    re.I,
)
_SHOWN = Scanned(
    rf"(?<![A-Za-z])(?:authenticator|authy|google auth\w*|duo|okta|otp)(?:[ ]app)?[ ](?:says|shows?|gives|gave(?:[ ]me)?|displays|reads|said)[ ]{CODE}",
    re.I,
)
_BACKUP = Scanned(
    r"(?<![A-Za-z])(?:backup|recovery|rescue|scratch|emergency|reset)[ ](?:codes?|keys?)(?:[ ](?:is|was|are)|[ ]?[:=])?[ ]"
    r"([0-9a-z]{3,6}(?:-[0-9a-z]{3,6}){1,5}|[0-9a-f]{8,16})(?![0-9A-Za-z\-])",
    re.I,
)
_ON_SAFE = Scanned(
    rf"(?<![A-Za-z])(?:codes?|combo|combination|pin|number)[ ](?:thing[ ]|number[ ])?(?:on|for|to|of)[ ](?:the|my|our|his|her|their)[ ](?:\w+[ ]){{0,3}}?(?:safe|locker|gate|door|garage|alarm|vault|shed|lockbox|suitcase|padlock|phone|tablet)"
    rf"(?:[ ](?:is|was)(?:[ ]still)?|[ ]?[:=])[ ]{CODE}",
    re.I,
)
_CLIENT = Scanned(
    r"(?:Client|Session|Connection|Api|API)\([^()\n]{0,100}?[\"']([0-9a-f]{32,64}|[A-Za-z0-9_\-]{24,64})[\"']\)"
)
_YEAR = Pattern("(?:19|20)[0-9]{2}")
_OTHER_CODE = Pattern(
    r"(?<![A-Za-z])(?:errors?|status|exit|return|country|area|post(?:al)?|zip|http|promo|discount|coupon|qr|source|colou?r|dialling|dress|morse|order|エラー|郵便|国)[ ]?(?:code|コード|番号)?",
    re.I,
)


def asked_codes(text: str) -> Iterator[Found]:
    """Every code that one reading gives so."""
    for pattern in (_ASKED, _AT_DOOR, _SHOWN, _ON_SAFE):
        for match in matches(pattern, text):
            doubtful = pattern is _AT_DOOR and _YEAR.fullmatch(match[1])
            if not (
                doubtful
                or (pattern is _ASKED and _OTHER_CODE.search(text, max(0, match.start() - 24), match.end()))
            ):
                yield Found(*match.span(1), Kind.SECRET, 0.86)
    for match in matches(_BACKUP, text):
        if any(c.isdigit() for c in match[1]) and len(match[1]) > 6:
            yield Found(*match.span(1), Kind.SECRET, 0.88)
    for match in matches(_CLIENT, text):
        if sum(c.isdigit() for c in match[1]) > 3:
            yield Found(*match.span(1), Kind.SECRET, 0.86)
