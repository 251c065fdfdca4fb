"""Values that only their label makes private: passport, licence, insurance, account and member numbers, user names.

One grammar for all: a label, a little filler (`number`, `is`, `は`, `":`), and a value of the shape the label allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.labels import ACCOUNT, BANK, HEALTH, LICENCE, NATIONAL, PASSPORT, USER
from renga.client.sanitisation.lexicon import listed, words
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_FILLER = (
    r"\.?(?:[\"'`*\]]{0,3}[ \t_\-.の]{0,2}(?:number|numbers|num|no|nr|n°|nº|№|id|code|card|番号|ナンバー|コード|証|ＩＤ|ID|nummer|numéro|numero|número|#|\([^()\n]{1,24}\)|（[^（）\n]{1,16}）)\.?){0,3}"
    r"[\"'`*\]]{0,3}[ \t]{0,3}\.{0,12}(?:(?:which is|that is|is|was|are|of|for|ist|lautet|est|es|=>|==?|:|：|は|が|＝|を|→|->|\||,|、)[ \t]{0,3}){0,2}(?:\r?\n[ \t>]{0,4})?[\"'`*「『（(\[]{0,3}[#第]?"
)  # fmt: skip
_END = r"(?![A-Za-z0-9])"
_ID = r"[A-Za-z0-9](?:[A-Za-z0-9]|[\-_/.·](?=[A-Za-z0-9])|[ ](?=[0-9])){3,27}"
_DIGITS = r"[0-9](?:(?:[ \-・]|[ \-]\r?\n)?[0-9]){3,19}"


class _Label(NamedTuple):
    """What one kind of number is called."""

    first: Scanned
    """The label and its value."""
    further: Pattern
    """What a list goes on with."""
    after: Pattern
    """The label where it comes last: `… is my passport number`."""
    value: Pattern
    """A value that ends where such a label begins."""
    kind: Kind
    certainty: float


_IS_MY = r"(?:[ ](?:is|was|are|ist|est|es)[ ]|[ ]?[,(–-][ ]?)(?:(?:my|our|his|her|their|your|meine?|mon|ma|mi|the)[ ])(?:\w+[ ])?"


def _label(words: str, value: str, kind: Kind, certainty: float = 0.92) -> _Label:
    return _Label(
        Scanned(rf"(?<![A-Za-z])(?:{words}){_FILLER}({value}){_END}", re.I),
        Pattern(rf"[ ]?(?:,|and|&|/|;|と|、)[ ]?({value}){_END}", re.I),
        Pattern(rf"{_IS_MY}(?:{words})", re.I),
        Pattern(rf"(?<![A-Za-z0-9])({value})$", re.I),
        kind,
        certainty,
    )


_LABELS = (
    _label(
        PASSPORT,
        r"[A-Za-z]{0,3}[ \-]?[0-9](?:[ ]?[0-9A-Za-z]){4,9}|[A-Za-z][0-9A-Za-z]{7,9}",
        Kind.PASSPORT,
    ),
    _label(
        LICENCE,
        r"(?=[A-Za-z]{0,5}[\- ]?[0-9])[A-Za-z0-9](?:[A-Za-z0-9]|[\- ](?=[A-Za-z]?[0-9])){4,19}",
        Kind.DRIVER_LICENSE,
    ),
    _label(
        HEALTH,
        rf"[A-Za-z]{{0,4}}[\- ]?{_DIGITS}|[0-9][A-Za-z][A-Za-z0-9][0-9][ \-]?[A-Za-z][A-Za-z0-9][0-9][ \-]?[A-Za-z]{{2}}[0-9]{{2}}|(?=[A-Za-z\-]{{0,8}}[0-9])[A-Za-z]{{1,4}}[\-]?{_ID}",
        Kind.HEALTH_ID,
    ),
    _label(
        BANK,
        rf"{_DIGITS}",
        Kind.BANK_ACCOUNT,
    ),
    _label(r"(?:swift|bic)(?:[ /]?(?:bic|code))?", r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", Kind.BANK_ACCOUNT, 0.7),
    _label(r"ゆうちょ(?:銀行)?|記号番号", r"[0-9]{5}[ \-]{1,3}[0-9]{1,8}", Kind.BANK_ACCOUNT),
    _label(
        ACCOUNT,
        r"(?=[A-Za-z\-_#]{0,16}[0-9])[A-Za-z0-9](?:[A-Za-z0-9]|[\-_./:](?=[A-Za-z0-9])|[ ](?=[0-9]{2,})){2,35}",
        Kind.ACCOUNT_ID,
    ),
    _label(
        NATIONAL,
        r"(?=[A-Za-z]{0,4}[ \-]?[0-9])[A-Za-z0-9](?:[A-Za-z0-9]|[\-./ ](?=[A-Za-z]?[0-9])){5,21}(?:-[A-Za-z0-9])?",
        Kind.NATIONAL_ID,
        0.9,
    ),
)  # fmt: skip

_COMES_LAST = Scanned(_IS_MY, re.I)
_SOMEBODY = Scanned(
    r"(?<![A-Za-z])(?:policy|claim|membership|contract|customer|client|employee|member|patient|student|staff|tenant|subscriber|policyholder)[ ]{1,2}[#(]{0,2}([A-Z]{1,5}-?[0-9]{5,12}|[0-9]{6,12})(?![A-Za-z0-9\-])"
)
"""A number right behind the word for whose it is."""

_HANDLE = r"@?[A-Za-z0-9_À-ɏ](?:[A-Za-z0-9_À-ɏ]|[.\-](?=[A-Za-z0-9_])){2,38}(?:#[0-9]{4})?"
_USER_LABEL = Scanned(
    rf"(?<![A-Za-z])(?:{USER})"
    rf"{_FILLER}({_HANDLE}){_END}",
    re.I,
)  # fmt: skip
_AT_HANDLE = Scanned(
    r"(?<![A-Za-z0-9_.@/+\-])@([A-Za-z](?:[A-Za-z0-9_]|[.\-](?=[A-Za-z0-9])){2,37})(?![A-Za-z0-9_/@])(?!\.[A-Za-z]{2})(?!\()"
)
_HOME = Scanned(
    r"(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2}|/var/spool/mail/|/mnt/c/Users/|~(?=[a-z][a-z0-9._\-]+/))([A-Za-z0-9À-ɏ][A-Za-z0-9._\-À-ɏ]{1,31}?)(?=[/\\\s\"':;,)]|$)"
)
_ACCESS_LOG = Scanned(
    r"(?:[0-9.]{7,15}|[0-9a-f:]{6,40}|^\S{1,60}) - ([A-Za-z][A-Za-z0-9._\-]{1,31}) \[", re.M
)
_SSH = Scanned(
    r"(?:(?<![A-Za-z])ssh|(?<![A-Za-z])scp|(?<![A-Za-z])rsync|(?<![A-Za-z])sftp|mosh|ssh-copy-id)(?![A-Za-z])[^\n|;]{0,80}?\s([a-z_][a-z0-9._\-]{1,31})@(?=[A-Za-z0-9.\-]+)"
)
_BEFORE_LOG_USER = (
    r"for (?:invalid )?user",
    r"Failed password for",
    r"Accepted \w+ for",
    r"session opened for user",
    r"sudo:\s{1,3}",
    r"su: ",
    r"(?:^|\s)user (?=\S+ (?:reported|logged|signed|tried|requested|created|deleted|says|said|claims))",
    r"from user",
    r"by user",
    r"(?:succeeded|failed|denied|granted|success|failure|accepted|rejected) for",
    r"(?:TODO|FIXME|XXX)\(",
    r"user=",
    r"USER=",
    r"uid=\d+\(",
)
_LOG_USER = Scanned(rf"(?:{'|'.join(_BEFORE_LOG_USER)})\s?([A-Za-z][A-Za-z0-9._\-]{{2,31}})(?![A-Za-z0-9@])")
_FLAG_USER = Scanned(
    r"(?:mysql\w*|mariadb\w*|psql|pg_\w+|mongo\w*|redis-cli|ftp|smbclient|sqlcmd|sqlplus|docker login|az login|svn|kinit|su|sudo|chown)\b[^\n|;]{0,80}?\s(?:-u|-U|--user(?:name)?)[= ]?[\"']?([A-Za-z_][\w.\-]{2,31})(?![\w:@/])"
)
_KEY_OF = Scanned(
    r"(?:password|passwort|kennwort|mot de passe|contraseña|passphrase|login|パスワード)[ ](?:for|of|für|von|de|para|pour)[ ]([A-Za-z0-9_][\w.\-]{3,31})[ ](?:is|was|ist|lautet|est|es|war|[:=])",
    re.I,
)
_DISCORD = Scanned(r"(?<![A-Za-z0-9#])([A-Za-z0-9_.]{2,32}#[0-9]{4})(?![0-9A-Za-z])")
_PROMPT_LINE = Scanned(
    r"^([a-z_][a-z0-9._\-]{1,31})@[A-Za-z0-9][A-Za-z0-9.\-]{1,62}:[~/][^\n$#]{0,120}[$#] ", re.M
)
_NETWORK = r"(?:github|gitlab|twitter|instagram|insta|ig|telegram|discord|tiktok|reddit|twitch|snap(?:chat)?|steam|skype|psn|xbox|gamer ?tag|battle ?tag|kik|venmo|mastodon|bluesky|threads|line id|インスタ|ツイッター)"
_ON_NETWORK = Scanned(
    rf"(?<![A-Za-z/.@])(?:(?:my|his|her|our|your|their)[ ]{_NETWORK}(?:'s|[ ]is|[ ]name[ ]is|[ ]was|[ ]=|:)|{_NETWORK}(?:[ ](?:is|handle|id|name)|[ ]?[:=])|gamer ?tag|user ?names?|user[ ]?id|(?:mon |votre )?identifiant|benutzer(?:name)?|usuario|ユーザー名|インスタ|snap|psn|kik)[ :=@はが]{{1,2}}(@?[A-Za-z0-9_](?:[\w.\-]{{2,30}})(?:#[0-9]{{4}})?)(?![\wÀ-ɏ])"
    rf"|(?<![A-Za-z0-9])u/([A-Za-z0-9_\-]{{3,20}})(?![A-Za-z0-9/])|(?:ユーザー名|インスタ|ツイッター|アカウント名?)[がは]?([A-Za-z0-9_.]{{4,30}})",
    re.I | re.A | re.M,
)
_GETS_IN = Scanned(r"(?<=[にはへ、])([A-Za-z][A-Za-z0-9_.\-]{3,30})(?=で(?:入|ログイン|接続|サインイン))")
_OPTION_USER = Scanned(
    r"(?<!\w)(?:--user(?:name)?|/user:)[= ]?([A-Za-z_][\w.\-]{2,31})(?![\w:@/])|CREATE USER '?([A-Za-z_][\w.\-]{2,31})'?@|htpasswd\s-\S{1,5}\s\S{1,60}\s([A-Za-z][\w.\-]{2,31})|ssh ([A-Za-z_][\w.\-]{1,31})@",
    re.I,
)
_SPEAKS = Pattern(r"(?:'[a-z]{1,2})?,?[ ][A-Za-z]+[ ,.?!]|'[a-z]{1,2}[ ]")
"""What goes on after `user: ` where a conversation is written down."""
_GENERIC_USERS = listed("users of no one")


_OWN_ACCOUNT = Scanned(
    r"(?<![A-Za-z])(?:my|your|his|her|their|our|the|customer|client|user|to|from|into|and)[ ](?:account|contract|policy|membership|subscription)(?: (?:is|are|was|number))*[ :]{1,2}#?((?=[A-Z\-]{0,8}[0-9])[A-Z0-9](?:[A-Z0-9]|-(?=[A-Z0-9])){4,24})(?![A-Za-z0-9])",
    re.I,
)
_JSON_ID = Scanned(
    r"[\"'](?:user|customer|client|account|member|employee|patient|owner)[\"']\s?:\s?\{\s{0,8}[\"'](?:id|number|no)[\"']\s?:\s?[\"']?([A-Za-z0-9][A-Za-z0-9_\-]{4,35})(?=[\"',\s}])",
    re.I,
)
_POSTAL_BANK = Scanned(
    r"記号[ 　:：]{0,2}([0-9]{5})[ 　\-、,]{0,3}(?:番号)?[ 　:：]{0,2}([0-9]{5,8})(?![0-9])"
)
_INSURED = Scanned(
    r"保険[^\n。]{0,16}?記号[はが:： 　]{0,2}([0-9\-]{2,8})[、,とで 　]{0,2}番号[はが:： 　]{0,2}([0-9]{1,10})(?![0-9])"
)
_PREFIXED_ID = Scanned(
    r"(?<![A-Za-z0-9\-])(?:CUST|CUS|EMP|ACC|ACCT|POL|MEM|MBR|USR|CLI|STU|KD)[\-_#][0-9]{4,12}(?![A-Za-z0-9])"
)
_BADGE = Scanned(
    r"(?<![A-Za-z])(?:badge|loyalty card|rewards card|membership|matricule|dossier|staff pass|employee|library card)(?:[ ](?:is|was)|:|[ ]#)?[ ]((?=[A-Z\-]{0,6}[0-9])[A-Z0-9][A-Z0-9\-]{4,15}|[0-9]{3,4}(?: [0-9]{3,4}){1,3})(?![A-Za-z0-9])",
    re.I,
)
_BESIDE_SORT = Scanned(
    r"(?<![0-9\-])([0-9]{4}[ ]?[0-9]{4,6})(?![0-9\-])(?=[^\n0-9]{1,24}(?:sort|s/c))|sort(?:[ _\-]?code)?[ :]{1,2}([0-9]{2}-[0-9]{2}-[0-9]{2})(?![0-9])",
    re.I,
)
_DVLA = Scanned(r"(?<![A-Za-z0-9])[A-Z9]{5}[ ]?[0-9]{6}[ ]?[A-Z9]{2}[A-Z0-9]{3}(?![A-Za-z0-9])")
"""A British driving licence: five letters of the surname, six digits of the birth, five more."""
_BESIDE_NAME = Scanned(r"\((?:ID|Id|No\.?|Nr\.?|#)[ :]{0,2}([A-Z]{0,4}-?[0-9]{4,10})\)")
_MRZ = Pattern(
    r"(?<![A-Z0-9<])(?:P[A-Z<][A-Z<]{1,3}[A-Z]{2,20}<<[A-Z<]{2,40}|[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MF<][0-9]{7}[A-Z0-9<]{14,16})(?![A-Z0-9<])"
)
"""The lines at the foot of a passport."""
_FOUND_ON = Scanned(
    r"(?:\(|(?<![A-Za-z])(?:add|follow|dm|message|ping|as|i'm|i am|im|it's|called|me is)[ ])@?([A-Za-z0-9](?:[A-Za-z0-9_]|[.\-](?=[A-Za-z0-9_])){2,38})[ ]on[ ](?:github|gitlab|discord|telegram|insta(?:gram)?|twitter|tiktok|reddit|snap(?:chat)?|steam|twitch|skype|slack|mastodon|bluesky|psn|xbox|threads|venmo)(?![A-Za-z])",
    re.I,
)
_FILE_END = Pattern(
    r"\.(?:js|ts|py|rs|go|md|io|net|json|html|ya?ml|toml|c|h|cpp|java|sh|txt|css|php|rb|ai|dev|app)$", re.I
)
_USER_AND_DIGITS = Scanned(r"(?<![A-Za-z_.])[Uu]ser[ ]([a-z][a-z._\-]{1,20}[0-9]{1,6})(?![A-Za-z0-9_(])")
_PREFIXED_HEALTH = Scanned(
    r"(?<![A-Za-z0-9\-])(?:(?:MRN|PAT|PID|NHS)[\-_#][0-9]{4,12}|MRN[0-9]{6,10})(?![A-Za-z0-9])"
)
_SEEN_UNDER = Scanned(
    r"(?<![A-Za-z])(?:seen|treated|admitted|examined|operated on|discharged|registered|hospitali[sz]ed|referred)(?![A-Za-z])[^.\n]{0,40}?[ ](?:under|with|as|on)[ ](?:(?:the|my|his|her|patient|case|medical|hospital|clinic)[ ]){0,2}(?:record|file|chart|patient|case|number|no\.?)(?:[ ](?:number|no\.?|id))?[ #:]{1,3}((?=[A-Z\-]{0,5}[0-9])[A-Z0-9][A-Z0-9\-]{5,15})(?![A-Za-z0-9])",
    re.I,
)
"""What a patient was treated under."""
_QUOTE_IT = Scanned(
    r"(?<![A-Za-z])(?:call|ring|phone|e-?mail|write|contact)(?![A-Za-z])[^\n]{0,64}?[ ](?:and|to|then)[ ](?:quot(?:e|ing)|giv(?:e|ing)|mention)[ ]([A-Z]{1,3}-?[0-9]{6,10})(?![A-Za-z0-9\-])"
)
"""What somebody is asked to say who they are with: `call … and quote K4471203`."""
_PRINTED = Scanned(
    r"(?:(?<![A-Za-z])MRZ(?![A-Za-z])|(?<![A-Za-z])[Pp]assport|パスポート|旅券)[^\n]{0,80}?(?:[Nn]umber|[Nn]o\.|番号)[^\n0-9A-Z]{0,20}?[ はが：:]([A-Z]{1,2}[0-9]{6,8}|[0-9]{8,9})(?![A-Za-z0-9])"
)
"""A passport's number that is told a few words after the passport."""
_LOGIN_LINE = Scanned(r"^[ \t]{0,8}login[ \t]{1,4}(\S{2,40})(?=\s{1,8}password[ \t])", re.M)
"""As `.netrc` writes it."""
_IRC = Pattern(r"^<([A-Za-z0-9_][\w.\-]{2,30})>[ ](?=\S)", re.M)
_CHATTING = Pattern(
    r"<[^<>\n]{3,31}>[^\n]{0,80}?(?<![A-Za-z])(?:i|i'm|im|we|u|you|my|me|lol|ok|yes|no|yeah|thx|thanks|pls|dont|don't|hey|hi)(?![A-Za-z])",
    re.I,
)
_ORDINARY = Scanned(
    r"[（(]?(?:普通|当座|貯蓄|普(?=[)）])|当(?=[)）]))[)）]?(?:預金|口座)?(?:口座)?(?:番号)?[ \t:：]{0,3}(?:\r?\n)?[0-9]{6,8}(?![0-9])"
)


def _can_be(value: str, kind: Kind) -> bool:
    """Has the value enough of a number, and is it no date, year or placeholder?"""
    digits = sum(c.isdigit() for c in value)
    if re.match(r"[A-Za-z]{3,} ", value):
        return False
    if digits < 2 or (kind is Kind.ACCOUNT_ID and digits < 3 and not re.search(r"[A-Z]", value)):
        return False
    if re.fullmatch(r"(?:19|20)[0-9]{2}[\-/.](?:0?[1-9]|1[0-2])[\-/.][0-9]{1,2}|(?:19|20)[0-9]{2}", value):
        return False
    return not re.search(r"YOUR|xxxx|XXXX", value) and len(set(value)) > 2


def labelled(text: str) -> Iterator[Found]:
    """Numbers and codes behind a label that makes them somebody's."""
    last = [m.start() for m in matches(_COMES_LAST, text)]
    for label in _LABELS:
        for match in matches(label.first, text):
            one: re.Match[str] | None = match
            while one and _can_be(one[1], label.kind):
                yield Found(*one.span(1), label.kind, label.certainty)
                one = label.further.match(text, one.end())
        for at in last:
            if label.after.match(text, at) and (one := label.value.search(text, max(0, at - 40), at)):
                if _can_be(one[1], label.kind):
                    yield Found(*one.span(1), label.kind, label.certainty)
    for match in matches(_SOMEBODY, text):
        if len(set(match[1])) > 2:
            yield Found(*match.span(1), Kind.ACCOUNT_ID, 0.7)
    for match in matches(_OWN_ACCOUNT, text):
        yield Found(*match.span(1), Kind.ACCOUNT_ID, 0.8)
    for pattern, kind in ((_PREFIXED_ID, Kind.ACCOUNT_ID), (_PREFIXED_HEALTH, Kind.HEALTH_ID)):
        for match in matches(pattern, text):
            yield Found(*match.span(), kind, 0.93)
    for match in matches(_BADGE, text):
        if _can_be(match[1], Kind.ACCOUNT_ID):
            yield Found(*match.span(1), Kind.ACCOUNT_ID, 0.8)
    for pattern, kind in (
        (_SEEN_UNDER, Kind.HEALTH_ID),
        (_QUOTE_IT, Kind.ACCOUNT_ID),
        (_PRINTED, Kind.PASSPORT),
    ):
        for match in matches(pattern, text):
            if _can_be(match[1], kind):
                yield Found(*match.span(1), kind, 0.86)
    for match in matches(_BESIDE_SORT, text):
        yield Found(*match.span(match.lastindex or 1), Kind.BANK_ACCOUNT, 0.92)
    for match in matches(_DVLA, text):
        yield Found(*match.span(), Kind.DRIVER_LICENSE, 0.9)
    for match in matches(_BESIDE_NAME, text):
        yield Found(*match.span(1), Kind.ACCOUNT_ID, 0.6)
    for match in _MRZ.finditer(text):
        yield Found(*match.span(), Kind.PASSPORT, 0.96)
    for match in matches(_JSON_ID, text):
        if _can_be(match[1], Kind.ACCOUNT_ID):
            yield Found(*match.span(1), Kind.ACCOUNT_ID, 0.9)
    for match in matches(_POSTAL_BANK, text):
        yield Found(*match.span(1), Kind.BANK_ACCOUNT, 0.95)
        yield Found(*match.span(2), Kind.BANK_ACCOUNT, 0.95)
    for match in matches(_INSURED, text):
        yield Found(*match.span(1), Kind.HEALTH_ID, 0.95)
        yield Found(*match.span(2), Kind.HEALTH_ID, 0.95)
    for match in matches(_ORDINARY, text):
        yield Found(*match.span(), Kind.BANK_ACCOUNT, 0.94)


_SAYS_HOW = Pattern(
    r"[a-z]+(?:ed|en|ing|ive|id|al|able|ible|less|ful)(?![a-z])|(?:case|too|not|wrong|long|short|free|unique|gone|fine)(?![a-z])|[a-z]+ (?!and |but |on |for |in |at |with |pls|please)[a-z]"
)


def usernames(text: str) -> Iterator[Found]:
    """User names by label, @handle, home folder, remote login or log line."""
    for match in matches(_USER_LABEL, text):
        value = match[1]
        label = text[match.start() : match.start(1)]
        strong = re.search(r"[:=：は\"'「]|(?<![A-Za-z])is(?![A-Za-z])|as\s*$|#$", label[2:]) is not None
        if not strong and re.match(r"user[ _-]?name|benutzername|login|usuario|identifiant", label, re.I):
            strong = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
        if text[match.end() : match.end() + 1] == "(" or (
            label.lower() == "user: " and _SPEAKS.match(text, match.end())
        ):
            continue  # a call, or who speaks
        plain = (
            value.isalpha()
            and value.islower()
            and not re.search(r"[:=：は「]|(?<![A-Za-z])is(?![A-Za-z])", label)
        )
        if (
            value[0].isupper()
            and value.isalpha()
            and not re.search(r"user|login|handle|nick|tag", label, re.I)
        ):
            continue  # a name
        if (
            value in words()
            and re.search(r"(?<![A-Za-z])is\s*$", label)
            and _SAYS_HOW.match(text, match.start(1))
        ):
            continue  # taken, case sensitive
        if strong and not plain and is_handle(value, certain=bool(re.search(r"[:=：「\"']|は", label))):
            yield Found(*match.span(1), Kind.USERNAME, 0.87)
    for match in matches(_AT_HANDLE, text):
        if is_handle(match[1]) and not _is_code_mark(text, match):
            yield Found(match.start(), match.end(1), Kind.USERNAME, 0.84)
    for match in matches(_USER_AND_DIGITS, text):
        if is_handle(match[1]):
            yield Found(*match.span(1), Kind.USERNAME, 0.6)
    for match in matches(_KEY_OF, text):
        word = match[1] in words() or match[1].istitle()
        if is_handle(match[1]) and not word:
            yield Found(*match.span(1), Kind.USERNAME, 0.84)
    for pattern in (_HOME, _SSH, _LOG_USER, _ACCESS_LOG, _PROMPT_LINE, _FLAG_USER):
        for match in matches(pattern, text):
            if is_handle(match[1]):
                yield Found(*match.span(1), Kind.USERNAME, 0.86)
    for pattern in (_ON_NETWORK, _OPTION_USER, _GETS_IN):
        for match in matches(pattern, text):
            value = match[match.lastindex or 1]
            plain = value in words() and pattern is _ON_NETWORK
            if is_handle(value) and not plain and value.lower() not in listed("no secret"):
                yield Found(*match.span(match.lastindex or 1), Kind.USERNAME, 0.86)
    for match in matches(_FOUND_ON, text):
        if re.search(r"[0-9_.]", match[1]) and not _FILE_END.search(match[1]) and is_handle(match[1]):
            yield Found(*match.span(1), Kind.USERNAME, 0.86)
    for match in matches(_LOGIN_LINE, text):
        if is_handle(match[1]):
            yield Found(*match.span(1), Kind.USERNAME, 0.88)
    said = [] if "</" in text else list(_IRC.finditer(text))
    if len({m[1] for m in said}) > 1 and any(_CHATTING.match(text, m.start()) for m in said):
        for match in said:
            if is_handle(match[1]):
                yield Found(*match.span(1), Kind.USERNAME, 0.86)
    for match in matches(_DISCORD, text):
        if is_handle(match[1].split("#")[0]):
            yield Found(*match.span(1), Kind.USERNAME, 0.86)


def is_handle(value: str, certain: bool = True) -> bool:
    """Can this be one person's user name?"""
    name = value.lstrip("@").lower()
    if name in _GENERIC_USERS or name.isdigit() or re.search(r"your|<|xxx", name):
        return False
    return certain or any(not c.isalpha() for c in name) or not name.isascii() or len(name) > 3


def _is_code_mark(text: str, match: re.Match[str]) -> bool:
    """Is this @word a decorator, a CSS rule, a package scope?"""
    line_start = text.rfind("\n", 0, match.start()) + 1
    lead = text[line_start : match.start()]
    follow = text[match.end() : match.end() + 200]
    if not lead.strip() and re.match(
        r"[^\n]{0,80}\n\s*(?:def |class |async |public |private |@|export |function )", follow
    ):
        return True
    return (
        re.search(r"(?:import|from|require|npm|yarn|install|add|i)\s[^\n]{0,60}$", lead) is not None
        and "/" in follow[:1]
    )
