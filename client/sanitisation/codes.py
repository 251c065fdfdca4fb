"""Codes of a few digits that open a door, a box, a phone or an account, by what is said around them.

Called a code (`the garage code is 4471`), typed somewhere (`disarm with 90215`), given where one was asked for (`code for
the gate?` and then a line of digits), or beside the door itself (`front door: 8830`, `le coffre, c'est 7771`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, any_of
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_CODE = r"(?<![A-Za-z0-9_.\-/$€£¥,])([*#]?(?:[0-9]{4,8}|[0-9]{3}[ \-][0-9]{3}|[0-9]{1,2}(?:-[0-9]{1,2}){2,3}|[0-9]{3,5}(?![sSkKmM])[A-Z])[*#]?)(?![A-Za-z0-9_%°€$]|[.,:/\-][0-9]|[ ]?(?:mm|cm|km|met(?:er|re)s?|miles?|yards?|kg|kb|mb|gb|lbs?|feet|ft|people|users?|dollars|euros?|units?|items|times|steps|gallons|years?|lines?|words?|pages?|char(?:acter)?s|bytes|bits|watts|volts|pixels|rows?|results?|calories|days|hours|minutes|seconds|ms|degrees|円|年|台|人|個|件|名|本|月|回|号|階|万|千)(?![a-z]))"
_OPENS = r"(?:open(?:s|ed)?[ ](?:with|to|on)|unlock(?:s|ed)?[ ](?:with|on)|disarm(?:s|ed)?[ ]with|codes?|combo|combination|pin|passcode)"
_THING = r"(?:front[ ]|back[ ]|side[ ]|main[ ]|garden[ ])?(?:doors?|gate|garage|alarm|keypad|key[ ]?box|lock[ ]?box|key[ ]?safe|locker|padlock|safe|vault|elevator|lift|intercom|buzzer|entrance|building|shed|mailbox|deadbolt|lobby|panel|lock|suitcase|combo|combination|phone|ipad|tablet|lock[ ]?screen)"
_BY_THING = Scanned(
    rf"(?<![A-Za-z])(?:{_THING}(?:[ ](?!to[ ]use)[^.\n!?;0-9]{{0,28}}?)?[ (]{{1,2}}{_OPENS}|(?:keypad|alarm[ ]panel|intercom|lock[ ]?box|key[ ]?box|padlock|combo|combination|safe|vault|gate|elevator|locker|entrance)(?:[ ](?!to[ ]use)[^.\n!?;0-9]{{0,28}}?)?[ ]?(?:takes|needs|wants|uses|[:=→])"
    rf"|(?:combo|combination|keypad|lock[ ]?box|key[ ]?box|key[ ]?safe|padlock)(?:[ ][^.\n!?;0-9]{{0,24}}?)?(?:[ ](?:is|was))?)[ ]?(?:is|was|now|[:=→\-])?[ ]{{0,2}}{_CODE}",
    re.I,
)
_TYPED = Scanned(
    rf"(?<![A-Za-z])(?:punch(?:ed)?[ ](?:in)?|key[ ]in|type(?:[ ]in)?|enter|dial|press|put[ ]in|use|disarm[^.\n0-9]{{0,24}}?[ ]with|unlocks?[ ]with|opens?[ ]with)[ ]{{1,2}}{_CODE}",
    re.I,
)
_THINGS = Pattern(rf"(?<![A-Za-z]){_THING}(?![A-Za-z])|disarm|unlock", re.I)
_SENT_CODE = Scanned(
    rf"(?<![A-Za-z])(?:(?:[23]fa|mfa|otp|sms|one[ \-]time|log[ \-]?in|your|security|auth\w{{0,12}}|access|verification|confirmation|activation|zoom|meeting|google)[ ](?:code|pin|passcode|password)|puk|passcode|(?:pin|code)'s|me[ ]the[ ]code:?)(?:[ ](?:is|was))?[ ]?[:=\-]?[ ]?(?:G-)?{_CODE}",
    re.I,
)
_FOR_CODE = Scanned(
    rf"(?<![A-Za-z])(?:pw|pass(?:word|code)?|pin|codes?|combo|clave|kennwort)(?:[ ]number)?[ ](?:for|to|of|on|der|meiner|von|zur|zum|de|del|du)(?:[ ][A-Za-zÀ-ɏ']+){{1,3}}?[ ]?(?:is|was|:|=|ist|lautet|es|est|c'est)?[ ]{{0,2}}{_CODE}"
    rf"|(?<![A-Za-z])(?:digicode|türcode|toegangscode)[ ]?(?:is|:|=|ist|est|c'est)?[ ]?{_CODE}", re.I,
)  # fmt: skip
_CHANGED = Scanned(
    rf"(?<![A-Za-z])(?:pin|passcode|codes?|combo|combination)[ ](?:(?:was|has been|got|is)[ ])?(?:changed|reset|moved|updated)[ ]from[ ]{_CODE}",
    re.I,
)
_WRONG = Scanned(
    rf"(?<![A-Za-z])(?:wrong|incorrect|invalid|bad)[ ](?:pin|passcode)(?![A-Za-z])[^0-9\n.]{{1,24}}?{_CODE}|(?<![A-Za-z])codes?[ ](?:that[ ])?(?:they|he|she|you|it|i|we)[ ](?:just[ ])?(?:texted|sent|gave|e?mailed|got|received|chose|set|typed|use|told)(?:[ ](?:me|us|him|her))?[ ]?(?:is|was|:|=)[ ]?{_CODE}|(?<![A-Za-z])disarm(?:s|ed)?[ :]{{1,2}}{_CODE}",
    re.I,
)
_DIAL = Scanned(
    r"(?<![A-Za-z])(?:left|right)[ ](?:to[ ])?[0-9]{1,2}(?:,?[ ](?:then[ ])?(?:left|right)[ ](?:to[ ])?[0-9]{1,2}){2,4}(?![0-9])",
    re.I,
)
"""How a safe is turned."""
_MARKED_CODE = Scanned(
    rf"(?<![A-Za-z])(?:building|gate|lobby|door|garage|entrance|front|side)[ ](?:entry|entrance|door|gate|panel|keypad)?[ ]?(?=[#*]){_CODE}",
    re.I,
)
"""What begins with a key of a keypad: `building entry #4402`."""
_THEN = Pattern(
    rf"(?:から|、?今は|→|、新しいのは|、[ぁ-ん一-龥ァ-ヴー]{{1,8}}は){_CODE}|[^\n.!?0-9]{{0,48}}?[ ](?:now|then|to|and|or|new one|it's|its|is|jetzt|ahora|今は)(?:[ ](?:it's|its|it is|is|to))?[ ]{_CODE}",
    re.I,
)
"""What it was changed to, later in the sentence."""
_TOLD_CODE = Scanned(
    rf"{_CODE}[ ](?:is|was|as)[ ](?:your|the|my|our)[ ](?:\w+[ ]){{0,3}}?(?:code|pin|passcode)(?![A-Za-z])",
    re.I,
)
_WALLET_CODE = Scanned(
    r"(?<![A-Za-z])(?:cvv2?|cvc2?|csc|cvn|セキュリティコード|prüfziffer)[^\w\n]{0,4}(?:is|=|:|は|code)?[^\w\n]{0,3}([0-9]{3,4})(?![0-9])",
    re.I,
)
_JA_THING = Scanned(
    r"(?:金庫|ロッカー|オートロック|キーボックス|鍵ボックス|宅配ボックス|宅配BOX|玄関|ドア|門扉|ゲート|勝手口|倉庫|スマホ|携帯|アイフォン|iPhone|タブレット|アラーム|警報|セキュリティ|キャッシュカード|エントランス|入口|入り口|ポスト|ダイヤル錠?|南京錠|スーツケース|認証|確認|ワンタイムパスワード|暗証番号?|パスコード)"
    r"[^。、\n0-9]{0,12}?(?:番号|暗証|コード|解除|ロック|ナンバー|パス|ダイヤル|パスワード|は|：|:|が|→|=)[はがを：:→= 　「『【\[]{0,3}"
    + _CODE
    + r"|(?:キーボックス|鍵ボックス|南京錠|ダイヤル錠?|(?:届いた|送られてきた|受け取った)(?:コード|番号|数字))[はがの：: ]{0,2}"
    + _CODE, re.I,
)  # fmt: skip

_CALLED = any_of(r"codes? pins? pincode passcode pass\s?words? pw combo combination digicode passwort contraseña clave mdp") + "|mot de passe|暗証番号|パスワード|コード"  # fmt: skip
_SPEAKER = r"(?:\[[^\]\n]{3,20}\][ ]?|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?[ \-]{1,3})?[^\s:\n][^:\n]{0,24}:[ ]"
_ASKED = Scanned(
    rf"(?<![A-Za-z])(?:{_CALLED})(?![a-z])[^\n?？]{{0,40}}[?？][ ]?\n(?:{_SPEAKER})?{_CODE}(?=[ ]?[.!,]?(?:\n|$|[ ][a-z]))",
    re.I,
)
_DOOR = (
    r"(?:front|back|side|street|outer|inner|main|building|garage|garden|lobby)[ ](?:door|gate|entrance)"
    r"|haustür|hoftor|tresor|garagentor|portail|coffre|porte d'entrée|portal|caja fuerte|puerta|cancela"
)
_AT_DOOR = Scanned(
    rf"(?<![A-Za-z])(?:{_DOOR})(?:[ ](?:del?|du|vom|der)[ ][a-zà-ÿ]{{2,16}})?"
    rf"(?:[ ]?[:=]|,?[ ](?:is|c'est|est|ist|es|lautet|hat)|[ ]?→)?[ ]{_CODE}",
    re.I,
)
_SHOWN = Scanned(
    rf"(?<![A-Za-z])(?:authenticator|authy|google auth\w*|duo|okta|otp)(?:[ ]app)?[ ](?:says|shows?|gives|gave(?:[ ]me)?|displays|reads|said)[ ]{_CODE}",
    re.I,
)
_BACKUP = Scanned(
    r"(?<![A-Za-z])(?:backup|recovery|rescue|scratch|emergency|reset)[ ](?:codes?|keys?)(?:[ ](?:is|was|are)|[ ]?[:=])?[ ]"
    r"([0-9a-z]{3,6}(?:-[0-9a-z]{3,6}){1,5}|[0-9a-f]{8,16})(?![0-9A-Za-z\-])",
    re.I,
)
_ON_SAFE = Scanned(
    rf"(?<![A-Za-z])(?:codes?|combo|combination|pin|number)[ ](?:thing[ ]|number[ ])?(?:on|for|to|of)[ ](?:the|my|our|his|her|their)[ ](?:\w+[ ]){{0,3}}?(?:safe|locker|gate|door|garage|alarm|vault|shed|lockbox|suitcase|padlock|phone|tablet)"
    rf"(?:[ ](?:is|was)(?:[ ]still)?|[ ]?[:=])[ ]{_CODE}",
    re.I,
)
_YEAR = Pattern("(?:19|20)[0-9]{2}")
_OTHER_CODE = Pattern(
    r"(?<![A-Za-z])(?:errors?|status|exit|return|country|area|post(?:al)?|zip|http|promo|discount|coupon|qr|source|colou?r|dialling|dress|morse|order|エラー|郵便|国)[ ]?(?:code|コード|番号)?",
    re.I,
)


def codes(text: str) -> Iterator[Found]:
    """Every code that one reading tells."""
    yield from _told(text)
    yield from _asked(text)


def _told(text: str) -> Iterator[Found]:
    for pattern in (_BY_THING, _SENT_CODE, _FOR_CODE, _TOLD_CODE, _JA_THING, _CHANGED, _MARKED_CODE, _WRONG):
        for match in matches(pattern, text):
            code = match.lastindex or 1
            if not _YEAR.fullmatch(match[code]) or pattern in (_SENT_CODE, _JA_THING):
                yield Found(*match.span(code), Kind.SECRET, 0.88)
                end = match.end(code)
                while (after := _THEN.match(text, end)) is not None:
                    said = after.lastindex or 1
                    yield Found(*after.span(said), Kind.SECRET, 0.86)
                    end = after.end(said)
    for match in matches(_TYPED, text):
        if _THINGS.search(text, max(0, match.start() - 40), min(len(text), match.end() + 40)):
            yield Found(*match.span(1), Kind.SECRET, 0.86)
    for match in matches(_DIAL, text):
        yield Found(*match.span(), Kind.SECRET, 0.86)
    for match in matches(_WALLET_CODE, text):
        yield Found(*match.span(1), Kind.SECRET, 0.9)


def _asked(text: str) -> Iterator[Found]:
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
