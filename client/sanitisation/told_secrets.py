"""Secrets that talk gives away, where no grammar of assignment does: `it's Grape#881, that's the root password`.

What looks like a password (letters with digits or marks, and none of the terms that look so too) is one where the
same line speaks of getting in; beside an e-mail address or a stock account it is one anyway. Codes of digits are
`codes`, words in a row `passphrases`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, any_of
from renga.client.sanitisation.lexicon import words
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_GETTING_IN = "|".join(
    (
        any_of("pass(?:words?|wd|codes?|phrases?|es)? p(?:ass)?wds? pws?"),
        r"log(?:ged|ging)?[ \-]?(?:in|on)s?",
        "sign(?:ed|ing)?[ ](?:in|on)",
        any_of("creds? credentials? wi-?fi wlan hotspot unlocks? ssid"),
        "(?:(?:re)?set|changed)[ ](?:it|that|this|mine|hers|his)[ ]to",
        "auth(?:entication)?[ ]failed|access[ ]denied|locked[ ]out",
        "(?:en|de)crypt(?:ed|s)?[ ](?:with|using)",
        "(?:protect|lock|secur|open)(?:ed|s)?[ ]with",
        r"gets?[ ](?:\w+[ ])?(?:in|on|into|onto)",
        any_of(r"passwort kennwort zugang(?:sdaten)? anmeld\w{1,6}"),
        "mot[ ]de[ ]passe",
        any_of("mdp identifiants? connecter? contrase[ñn]as? claves? acceso"),
    )
)
_GETTING_IN_JA = any_of("パスワード パス(?![ァ-ヴー]) ログイン ワイファイ 無線 暗証")
_ACCESS = Scanned(rf"(?<![A-Za-z])(?:{_GETTING_IN})(?![A-Za-z])|{_GETTING_IN_JA}", re.I)
_TOKEN = Pattern(r"(?<![!-~À-ɏ])[!-~À-ɏ]{6,72}")
_INK = Pattern("[!-~À-ɏ]")
_EDGES = "\"'`()[]{}<>.,;:!?*"
_STEMS = any_of(
    r"""
    o?auth open sha md aes rsa utf base py(?:thon)? java node php es ios android win(?:dows)? macos ubuntu debian
    http tls ssl ipv web log bcrypt argon pbkdf ed [hrep]s pkcs mp fido user test foo bar item step level
    ver(?:sion)? section chapter part page table fig line case day week phase type class grade unit covid
    gpt claude llama gemma qwen my?sql postgres room port eth wlan vlan usb iphone galaxy pixel ipad core server
    host web db app api key pass(?:word|wd)? pwd? secret token string number example sample dummy
    """
)
_UNITS = any_of(
    "st nd rd th k m b x s ms h hrs? min am pm [kmgt]i?b [kmg]?hz px p fps d w kg cm mm mph bit usd eur jpy %"
)
_COUNTED = any_of(
    """
    bit days? chars? characters? digits? factor step hours? minutes? years? months? weeks? letters? words? way
    person star part
    """
)
_TERMS = (
    rf"(?:{_STEMS})s?[\-_.]?[0-9]+(?:[.\-][0-9]+)*[a-z]{{0,3}}",
    r"[0-9]+[ap]m[0-9]*",
    r"[a-z]*[0-9]+(?:[.,:/\-][0-9]+)+[a-z]{0,4}",
    rf"[#$€£]?[0-9][0-9.,]*(?:{_UNITS})",
    rf"[0-9]+[\-/]?(?:{_COUNTED})s?",
    r"[0-9a-f]{8}-[0-9a-f]{4}-.*",
    r"[0-9a-f]{32,}",
    r"(?:[a-z_\-]+[0-9]?/)+[\w.]*(?::[0-9]+)?",
    r"[\w\-]+\.(?:[a-z]{2,5}|7z|mp[34])",
    r"[a-z]{1,7}[&@]\w{1,2}",
    r".*(?:'s|n't|'re|'ll|…|\.\.\.).*",
)
_TERM = Pattern("|".join(_TERMS), re.I)
"""What mixes letters with digits or marks and is a term, a measure, a date, a name of code or of a file."""
_TERM_CASED = Pattern(
    r"[A-Z]{1,6}-?[0-9]{1,6}[A-Z]{0,2}|[a-z]{1,2}[0-9]{1,4}[a-z]{0,2}|[A-Z][A-Z0-9]*(?:_[A-Z][A-Z0-9]*)+|[a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)+"
    r"|[a-z]+(?:[A-Z][a-z]+)+[0-9]?|[a-z]+(?:_[a-z]+)+[A-Z]\w*"
)
_LABEL = Pattern(r"[A-Za-z/\-]{1,14}[:=](?=.)")
_STRANGE = Pattern(r"[=(){}\[\]>;|\\\"`]|<(?!3[A-Za-z])|://|^[@/~.\-$]|/.*/")
_CODE_LINE = Pattern(
    r"^[ \t>+\-]{0,12}(?:(?:def|class|import|from|return|function|const|let|var|if|for|while|public|private|static|async|await|raise|throw|assert|print|SELECT|INSERT|CREATE|#include)\b.*[(){};=\[\]]|//|\$ ?(?:pip|npm|git|docker|apt)\b)|[{;]\s*$"
)
_REACH = 56

_EMAIL = r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,4}[A-Za-z]{2,12}"
_BESIDE_EMAIL = Scanned(rf"(?<![A-Za-z0-9._%+\-]){_EMAIL}[ ]?[/:|,;][ ]?([!-~]{{6,72}})")
_STOCK = Scanned(
    r"(?<![\w./\-])(?:root|admin|administrator|ubuntu|postgres|sa|pi|guest|superuser|pwd?)[ ]?(?:[/:→]|[\-=]>)(?!//)[ ]?([!-~]{6,72})"
)
_PAIR = Scanned(
    r"(?<![A-Za-z])(?:log[ \-]?in|sign[ ]in|creds?|credentials?|user(?:[ ]?name)?s?|u/p|u|id/pw|id|access|zugang(?:sdaten)?|benutzer|identifiants?|usuario|acceso|ログイン|account)(?![A-Za-z])(?:[ ]for[ ](?:the[ ]|my[ ]|our[ ])?\w{2,14})?"
    r"(?:[は：]|[^\w\n]){0,4}(?:(?:is|are|was|with|as|for|details|data|info|für|pour|→|は)[^\w\n]{1,3}){0,2}"
    r"([A-Za-z][\w.\-]{2,31})(?:[ ]{0,2}(?:/|:|,|\||→|->|、)[ ]{0,2}|[,;]?[ ](?:and|with|und|et|y|mit|psk|secret|kennwort|passwort|contraseña|mdp|mot[ ]de[ ]passe|pw?|pass|password|passwort|clave)[ :]{1,3}|[ ])(?:(?:p(?:ass|w|wd)?|PW|パス(?:ワード)?)[:：はが][ ]?)?([!-~]{6,72})",
    re.I,
)
_QUOTED = Scanned(
    r"(?<![A-Za-z])(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[ _]?key|kennwort|passwort)[ ]{1,2}[\"']([^\"'\s]{6,72})[\"']",
    re.I,
)
_CALL = Scanned(
    r"(?:auth\w{0,16}|log_?in|sign_?in|connect\w{0,16}|getConnection|begin|credentials?)\s?(?:=\s?)?\([^()\n]{0,80}?[\"'][^\"'\n]{1,60}[\"'],\s?[\"']([^\"'\s]{6,72})[\"']",
    re.I,
)
"""The last of a call's texts: `auth=('amy', '…')`, `getConnection(url, "amy", "…")`."""
_CLIENT = Scanned(
    r"(?:Client|Session|Connection|Api|API)\([^()\n]{0,100}?[\"']([0-9a-f]{32,64}|[A-Za-z0-9_\-]{24,64})[\"']\)"
)
_SLUG = Scanned(
    r"(?<![A-Za-z])(?:one[ ]is|it(?:'|’)?s|it[ ]is|is[ ]now|now[ ](?:uses|is)|wifi[ :][^\n/]{1,24}/|ssid[ :][^\n/]{1,24}/)[ ]{1,2}[\"'`]?([A-Za-z]{2,}(?:[\-_.](?:[A-Za-z]{2,}|and)){1,4}(?:[\-_.]?[0-9]{1,4}[!?]?)(?![\w\-]))",
    re.I,
)
"""Words and a number tied together, where somebody says which one it is: `yeah its velvet-planet-6`."""
_NETWORK_PAIR = Scanned(
    r"(?<![A-Za-z])(?:wi-?fi|wlan|ssid|network|hotspot)[ ]?[:=][ ]?[^\n/|,:]{2,32}[ ][/|][ ]([!-~À-ɏ]{8,63})(?=\s|$)",
    re.I,
)
_UNMISTAKABLE = Scanned(
    r"(?<![!-~])[\"'`(]?([A-Za-z0-9.\-_#$%*]{2,40}[A-Za-z0-9][!&][A-Za-z0-9][A-Za-z0-9.\-_#$%*!]{0,40})(?=[\"'`)]?[.,;:?]?(?:\s|$))"
)
"""Letters and digits with a mark among them that no term has."""
_PGPASS = Scanned(
    r"(?<![\w.\-:/@])[A-Za-z*][\w.\-*]{0,80}:(?:[0-9]{4,5}|\*):[\w*\-]{1,40}:([\w.\-]{1,40}):([!-~]{4,80})"
)

_JA_SAID = Scanned(
    r"パスワード[「『](?![^」』\n]*(?:違|忘|再|入力|変更|設定|を|が|は))([^」』\n]{2,24})[」』]|(?:合言葉|秘密の(?:質問の)?(?:答え?|回答)|(?:パスワード|パスフレーズ|パス)(?:は|：|:|が))[はがを：: ]{0,2}(?:[「『\"]([^」』\"\n]{2,40})[」』\"]|(?<=答えは)([ァ-ヴーぁ-ん一-龥]{2,12}?)(?=です|。|、|$|\n))"
)
_ANSWER = Scanned(
    r"(?:security|secret)[ ]question[^\n]{0,80}?[ ]answer(?:[ ](?:is|was))?[ :=]{1,3}[\"']?([A-Za-z][\w'\-]{2,24})(?![\w?])|(?:(?:security|secret)[ ](?:answer|question)[^\n]{0,80}?(?:answer|[:=]|is|\?)[ :]{1,3}|mother(?:'s)?[ ]maiden[ ]name(?:[ ]is|:)?[ ])(?:answer:?[ ])?[\"']?([A-Za-z][\w'\-]{2,24})(?![\w?])(?=[\"'.,;)]|\s|$)",
    re.I,
)

_OPAQUE = Scanned(
    r"(?<![A-Za-z0-9])((?:[A-Za-z][\w.\-]{0,30}[ ])?[A-Za-z][\w.\-]{0,48})[\"'`\])]{0,3}(\s{0,2}(?::=|=>|:|=|,)\s{0,2}|[ ](?:is[ ])?)[\"'`]?([A-Za-z0-9+/_\-%~]{16,200}={0,2})(?![A-Za-z0-9+/_\-%~])"
)
_KEYISH = Pattern(r"key|token|secret|auth|cred|sig(?:nature)?$|psk|appid|passw|pwd", re.I)
_HASHISH = Pattern(
    r"hash|sha|md5|commit|digest|checksum|etag|integrity|version|uuid|guid|image|rev|public|pubkey|fingerprint|thumbprint|(?:^|_)id$|nonce|salt",
    re.I,
)
_VARIABLE = Pattern(r"[A-Z][A-Z0-9_]{2,40}")
_GROUPED = Scanned(
    r"(?<![A-Za-z])(?:key|code|serial|licen[cs]e)s?(?:[ ](?:is|was)|:|=)?[ :]{1,2}[\"']?([A-Z0-9]{4,6}(?:-[A-Z0-9]{4,6}){3,8})(?![A-Za-z0-9\-])",
    re.I,
)
_BASE32 = Scanned(
    r"(?:totp|otp|TOTP|OTP|[2Mm][Ff][Aa]|[Aa]uthenticator|[Aa]uthy|[Ss]etup[ ][Kk]ey|[Tt]wo[ -]?[Ff]actor)[^\n]{0,40}?[^A-Za-z0-9\n](?<![A-Za-z0-9])((?:[A-Z2-7]{16,64}|[A-Z2-7]{4}(?:[ \-][A-Z2-7]{4}){3,15}|[a-z2-7]{4}(?:[ ][a-z2-7]{4}){3,15}))(?![A-Za-z0-9])"
)


def told_secrets(text: str) -> Iterator[Found]:
    """Every secret that one reading's talk gives away."""
    yield from _passwords(text)
    for match in matches(_JA_SAID, text):
        yield Found(*match.span(match.lastindex or 1), Kind.SECRET, 0.88)
    for match in matches(_ANSWER, text):
        answer = match.lastindex or 1
        if match[answer].lower() not in words() or match[answer][0].isupper():
            yield Found(*match.span(answer), Kind.SECRET, 0.8)
    for match in matches(_BASE32, text):
        yield Found(*match.span(1), Kind.SECRET, 0.95)
    for match in matches(_OPAQUE, text):
        if _is_opaque(match[1], match[2].isspace() or match[2].strip() in ("is", ","), match[3]):
            yield Found(*match.span(3), Kind.SECRET, 0.8)
    for match in matches(_GROUPED, text):
        yield Found(*match.span(1), Kind.SECRET, 0.86)


def _is_opaque(name: str, loose: bool, value: str) -> bool:
    """Is this a key that nobody made up to be read, under a name that says so (or in a variable)?"""
    if _HASHISH.search(name) or re.search(r"[a-z]{8,}|[a-z]{4,}[_\-][a-z]{4,}", value.replace("%", "")):
        return False
    digits, letters = sum(c.isdigit() for c in value), sum(c.isalpha() for c in value)
    if digits < 3 or letters < 3 or value.count("/") > 3 or len(set(value)) < 8:
        return False
    first, _, last = name.rpartition(" ")
    if _KEYISH.search(last) or (last.lower() in ("value", "string") and _KEYISH.search(first)):
        return True
    cased = any(c.islower() for c in value) and any(c.isupper() for c in value)
    return (
        not loose
        and _VARIABLE.fullmatch(name.rpartition(" ")[2]) is not None
        and ((cased and len(value) > 23) or len(value) in (32, 40, 64))
    )


def looks_like_password(token: str, paired: bool = False) -> bool:
    """Letters with digits or marks in them, and no term that has these too. `paired`: an account stands before
    it, so that an @ in it makes no address."""
    if (
        not 6 <= len(token) <= 64
        or _STRANGE.search(token)
        or _TERM.fullmatch(token)
        or ("@" in token.strip("@!") and not (paired and re.search(r"@[^.@]*[0-9][^.@]*$", token)))
    ):
        return False
    letters, digits = sum(c.isalpha() for c in token), sum(c.isdigit() for c in token)
    if letters < 2 or _TERM_CASED.fullmatch(token):
        return False
    inner = re.search(r"[A-Za-z0-9][#$%&*!^~+?]+[A-Za-z0-9]", token) is not None
    return (digits > 0 and (digits > 1 or inner or token.strip(_EDGES) != token or len(token) > 7)) or (
        inner and len(token) >= 8
    )


def _told(text: str, start: int, end: int, paired: bool = False) -> tuple[int, int] | None:
    """The span without the marks of the sentence, if what is left looks like a password."""
    label = _LABEL.match(text, start, end)
    start = label.end() if label else start
    while start < end and text[start] in "\"'`([{<*":
        start += 1
    while start < end and text[end - 1] in _EDGES:
        end -= 1
        if (
            text[end] in "!?*"
            and looks_like_password(text[start : end + 1])
            and looks_like_password(text[start:end])
        ):
            end += 1
            break
    return (start, end) if looks_like_password(text[start:end], paired) else None


def _passwords(text: str) -> Iterator[Found]:
    for pattern in (_BESIDE_EMAIL, _STOCK, _QUOTED):
        for match in matches(pattern, text):
            if (span := _told(text, *match.span(1), paired=pattern is _STOCK)) is not None:
                yield Found(*span, Kind.SECRET, 0.9)
    for match in matches(_PAIR, text):
        if (span := _told(text, *match.span(2), paired=True)) is not None:
            yield Found(*span, Kind.SECRET, 0.9)
            if match[1].lower() not in words():
                yield Found(*match.span(1), Kind.USERNAME, 0.86)
    for match in matches(_CALL, text):
        if (span := _told(text, *match.span(1))) is not None:
            yield Found(*span, Kind.SECRET, 0.9)
    for match in matches(_CLIENT, text):
        if sum(c.isdigit() for c in match[1]) > 3:
            yield Found(*match.span(1), Kind.SECRET, 0.86)
    for pattern in (_SLUG, _NETWORK_PAIR):
        for match in matches(pattern, text):
            if not _TERM.fullmatch(match[1]):
                yield Found(*match.span(1), Kind.SECRET, 0.84)
    for match in matches(_UNMISTAKABLE, text):
        letters, digits = sum(c.isalpha() for c in match[1]), sum(c.isdigit() for c in match[1])
        if letters > 3 and digits and len(match[1]) > 7 and looks_like_password(match[1]):
            yield Found(*match.span(1), Kind.SECRET, 0.74)
    for match in matches(_PGPASS, text):
        yield Found(*match.span(1), Kind.USERNAME, 0.9)
        yield Found(*match.span(2), Kind.SECRET, 0.93)
    done = 0
    for word in matches(_ACCESS, text):
        first = max(
            done, text.rfind("\n", max(0, word.start() - 200), word.start()) + 1, word.start() - _REACH
        )
        last = text.find("\n", word.end(), word.end() + _REACH)
        last = min(len(text), word.end() + _REACH) if last < 0 else last
        line = text[text.rfind("\n", max(0, word.start() - 200), word.start()) + 1 : last]
        if _CODE_LINE.search(line):
            continue
        for token in _TOKEN.finditer(text, first, last):
            whole = _TOKEN.match(text, token.start())  # a reach may end inside of it
            if whole and token.start() and _INK.match(text, token.start() - 1):
                continue
            if whole and (span := _told(text, *whole.span())) is not None:
                yield Found(*span, Kind.SECRET, 0.72)
        done = max(first, last - _REACH)
