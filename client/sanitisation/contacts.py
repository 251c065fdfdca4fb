"""Addresses of the network: e-mail, URL, IP, MAC; and which of them name nobody.

Reserved and well-known addresses are not private: loopback, documentation ranges (RFC 5737, RFC 3849), example
domains (RFC 2606), public resolvers, whole networks, and plain links to public sites. A link that carries a
person, a token or a private host is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, before, near
from renga.client.sanitisation.lexicon import listed
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_LOCAL = r"[A-Za-z0-9_À-ɏ][A-Za-z0-9._%+'À-ɏ\-]{0,63}"
_DOMAIN = r"(?:[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ\-]{0,62})\.){1,8}[A-Za-z]{2,24}"
_EMAIL = Scanned(rf"(?<![A-Za-z0-9._%+\-]){_LOCAL}[ \t]?@[ \t]?{_DOMAIN}(?![A-Za-z0-9])")
_BROKEN_EMAIL = Scanned(
    rf"(?<![A-Za-z0-9._%+\-]){_LOCAL}\r?\n?[ \t>]{{0,4}}@\r?\n?[ \t>]{{0,4}}[A-Za-z0-9\-]{{1,63}}"
    r"(?:\r?\n?[ \t]{0,2}\.\r?\n?[ \t]{0,2}[A-Za-z0-9\-]{1,63}){0,4}\r?\n?[ \t]{0,2}\.\r?\n?[ \t]{0,2}[A-Za-z]{2,12}(?![A-Za-z0-9])"
)
_SPOKEN_EMAIL = Scanned(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9_][A-Za-z0-9_.\-+]{0,62}(?:\s+dot\s+[A-Za-z0-9_]{1,30}){0,3}"
    r"\s*(?:[\[({<]\s*at\s*[\])}>]|\s+at\s+|[\[({]@[\])}])\s*"
    r"(?:[A-Za-z0-9\-]{1,40}\s*(?:[\[({<]\s*dot\s*[\])}>]|\s+dot\s+|\.)\s*){1,3}[A-Za-z]{2,10}(?![A-Za-z0-9])",
    re.I,
)
_EXAMPLE = Pattern(
    r"(?:^|[.@/])(?:example\.(?:com|org|net|edu|jp|co\.jp|ne\.jp)|[\w\-]+\.(?:example|test|invalid)"
    r"|localhost|(?:your|my)-?(?:domain|company|site|org)\.\w+|domain\.(?:com|tld)|email\.com)(?::[0-9]+)?$",
    re.I,
)
_GIT = Pattern(r"git@(?:github|gitlab|bitbucket)\.\w+$", re.I)


def emails(text: str) -> Iterator[Found]:
    """E-mail addresses, also with broken lines, spaces around the @, or `at` and `dot` in words."""
    for match in matches(_EMAIL, text):
        domain = match[0].rpartition("@")[2].strip()
        if (
            not is_example(domain)
            and not _GIT.search(match[0])
            and "://" not in text[max(0, match.start() - 3) : match.start()]
        ):
            yield Found(match.start(), match.end(), Kind.EMAIL, 0.94)
    if "@" in text and "\n" in text:
        for match in matches(_BROKEN_EMAIL, text):
            if "\n" in match[0] and not is_example(re.sub(r"\s", "", match[0].rpartition("@")[2])):
                yield Found(*match.span(), Kind.EMAIL, 0.9)
    for match in matches(_SPOKEN_EMAIL, text):
        if re.search(r"\bdot\b|[\[({<]", match[0], re.I) and "example" not in match[0].lower():
            yield Found(*match.span(), Kind.EMAIL, 0.92)


def is_example(host: str) -> bool:
    """Is this a domain that documentation uses, RFC 2606's or as good as?"""
    return _EXAMPLE.search("." + host) is not None


_URL = Scanned(
    r"(?<![A-Za-z0-9])(?:https?|hxxps?|ftps?|sftp|wss?|ssh|s3|gs|smb|rtsp|git|slack|webcal)://"
    r"[^\s<>\"'`{}|\\^\[\]。、，（）「」『』ぁ-んァ-ヶ一-龥]{3,2000}",
    re.I,
)
_BARE_URL = Scanned(
    r"(?<![A-Za-z0-9@./\-])(?:www\.)?(?:[A-Za-z0-9\-]{1,63}\.){1,4}(?:com|org|net|io|jp|dev|app|me|co|de|fr|es|uk|us|info|biz|gg|ly|to|tv)"
    r"(?:/[^\s<>\"'`{}|\\^\[\]。、，（）「」ぁ-んァ-ヶ一-龥]{1,500}|(?=[^\w/.@\-]|$))",
    re.I,
)
_PUBLIC_HOST = Pattern(
    r"(?:^|\.)(?:wikipedia\.org|wikimedia\.org|python\.org|pypi\.org|readthedocs\.(?:io|org)|mozilla\.org|w3\.org|schema\.org"
    r"|npmjs\.(?:com|org)|nodejs\.org|rust-lang\.org|crates\.io|docs\.rs|golang\.org|go\.dev|stackoverflow\.com|stackexchange\.com"
    r"|github\.(?:com|io)|ghcr\.io|quay\.io|gcr\.io|k8s\.io|docker\.pkg\.dev|githubusercontent\.com|gitlab\.com|huggingface\.co|arxiv\.org|doi\.org|ietf\.org|rfc-editor\.org|apache\.org|gnu\.org"
    r"|kernel\.org|debian\.org|ubuntu\.com|docker\.(?:com|io)|kubernetes\.io|microsoft\.com|apple\.com|google\.com|googleapis\.com"
    r"|openai\.com|anthropic\.com|aws\.amazon\.com|amazonaws\.com|cloudflare\.com|jsdelivr\.net|unpkg\.com|youtube\.com|bbc\.(?:com|co\.uk)"
    r"|nytimes\.com|reuters\.com|nature\.com|who\.int|europa\.eu|(?:go|ac|lg)\.jp|gov(?:\.uk)?|edu|yahoo\.co(?:m|\.jp)|nhk\.or\.jp|nasa\.gov"
    r"|jquery\.com|bootstrapcdn\.com|reactjs\.org|react\.dev|djangoproject\.com|flask\.palletsprojects\.com|pytorch\.org|tensorflow\.org"
    r"|numpy\.org|pandas\.pydata\.org|spring\.io|oracle\.com|mysql\.com|postgresql\.org|mongodb\.com|redis\.io|elastic\.co|medium\.com"
    r"|amazon\.(?:com|co\.jp|de|fr|es)|twitter\.com|x\.com|facebook\.com|instagram\.com|linkedin\.com|slack\.com|stripe\.com|t\.me|zoom\.us"
    r"|discord\.(?:com|gg)|notion\.so|dropbox\.com|figma\.com|trello\.com|reddit\.com|tiktok\.com|pinterest\.com|qiita\.com|zenn\.dev|note\.com)$",
    re.I,
)
_PERSONAL_PATH = Pattern(
    r"(?:^|/)(?:in|u|user|users|profile|profiles|people|person|member|members|~[^/]*|@[^/]*|d|file|folders|share|shared|invite|join|j|meet"
    r"|document|spreadsheets|presentation|s|reset|verify|confirm|account|accounts|customer|customers|patient|patients|calendar|my|me|admin"
    r"|record|records|case|cases|download|rooms?|status|posts?|services|orders?)/[^/?#\s]{2,}|/~|/@",
    re.I,
)
_SECRET_QUERY = Pattern(
    r"[?&#;](?:[\w\-]*(?:token|key|sig|signature|secret|auth|code|session|sid|email|user|uid|id|pwd|pass|phone|name|invite|ref)[\w\-]*)=[^&\s]{3,}",
    re.I,
)
_LONG_ID = Pattern(r"(?=[A-Za-z_\-]*[0-9])(?:[0-9a-f]{16,}|[A-Za-z0-9_\-]{22,}|[0-9a-f]{8}-[0-9a-f]{4}-)")
_PUBLIC_HANDLE_HOST = Pattern(
    r"(?:^|\.)(?:twitter|x|facebook|instagram|tiktok|pinterest|medium|reddit|t)\.(?:com|me)$|^(?:qiita\.com|note\.com|zenn\.dev)$",
    re.I,
)
_SITE_PAGES = listed("site pages")
_TRAILING = ".,;:!?)]}>'\"*_…"


def urls(text: str) -> Iterator[Found]:
    """Links that lead to somebody's own: with credentials, tokens, persons, or on hosts that are not public."""
    for pattern in (_URL, _BARE_URL):
        for match in matches(pattern, text):
            end = match.end()
            while end > match.start() and text[end - 1] in _TRAILING:
                end -= 1
            url = text[match.start() : end]
            if is_private_url(url, with_scheme=pattern is _URL):
                yield Found(match.start(), end, Kind.URL, 0.93)


def is_private_url(url: str, with_scheme: bool = True) -> bool:
    """Does the link say more than where a public page is?"""
    rest = url.split("://", 1)[-1]
    authority, slash, path = rest.partition("/")
    if not slash:
        authority, mark, path = rest.partition("?")
        path = mark + path
    host = authority.rpartition("@")[2].partition(":")[0]
    user = authority.rpartition("@")[0]
    path = "/" + path.removeprefix("/")
    if user and not is_example(host):
        return user not in ("git", "user", "username")
    if (
        is_example(host)
        or host in ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")
        or re.search(r"[<{]|YOUR_|xxx", url)
    ):
        return False
    if host == "meet.google.com":
        return len(path) > 8
    if _SECRET_QUERY.search(path):
        return (
            not re.search(r"[?&](?:v|q|id|code|key|name|ref)=(?:\d{1,3}|[a-z]{1,8})(?:&|$)", path)
            or "&" in path
        )
    if _PUBLIC_HANDLE_HOST.search(host):
        first = path.strip("/").split("/")[0].lower()
        return bool(first) and first not in _SITE_PAGES
    if _PUBLIC_HOST.search(host):
        if re.search(
            r"(?:^|\.)(?:github|ghcr|quay|gcr|docker|k8s|gitlab|huggingface|stackoverflow|youtube|wikipedia|python|pypi|npmjs|mozilla|arxiv)\.",
            host,
        ):
            return False
        return _PERSONAL_PATH.search(path) is not None or _LONG_ID.search(path) is not None
    if not with_scheme:
        return len(path) > 1 and (
            _PERSONAL_PATH.search(path) is not None or _LONG_ID.search(path) is not None or len(path) > 4
        )
    return True


_IPV4 = Pattern(
    r"(?:(?<![0-9A-Za-z.\-_])|(?<=(?<![A-Za-z])IP))(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z_])(?!\.[0-9])(/[0-9]{1,2})?"
)
_IPV6 = Pattern(
    r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![0-9A-Za-z:])"
)
_VERSION = Pattern(
    r"(?:\bv|version|ver\.?|release|build|バージョン|[=~<>]=|firmware|\bpip\b|section|chapter|§|oid)[ :=\"']{0,3}$",
    re.I,
)
_RESOLVERS = listed("public addresses")
_DOCUMENTATION = [
    ipaddress.ip_network(n)
    for n in (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
        "0.0.0.0/8",
        "224.0.0.0/3",
    )
]


def ip_addresses(text: str) -> Iterator[Found]:
    """IPv4 and IPv6 addresses of somebody's machine."""
    for match in _IPV4.finditer(text):
        address = match[0].partition("/")[0]
        if not before(_VERSION, text, match.start(), 14) and _is_private_ip(address, match[1]):
            yield Found(match.start(), match.start() + len(address), Kind.IP_ADDRESS, 0.93)
    for match in _IPV6.finditer(text):
        if match[0].count(":") >= 3 or ("::" in match[0] and len(match[0]) > 4):
            if any(c.isdigit() for c in match[0]) and _is_private_ip(match[0], None):
                yield Found(*match.span(), Kind.IP_ADDRESS, 0.93)


def _is_private_ip(text: str, network: str | None) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if (
        text in _RESOLVERS
        or address.is_loopback
        or address.is_unspecified
        or re.fullmatch("fe80::[0-9a-f]{1,2}", text.lower())
        or (network and address.packed[-1] == 0)
    ):
        return False
    if address.version == 4 and ((address.packed[-1] == 0 and address.is_private) or text.startswith("255.")):
        return False
    return not any(address.version == n.version and address in n for n in _DOCUMENTATION)


_MAC = Scanned(
    r"(?<![0-9A-Za-z:\-])(?:[0-9A-Fa-f]{2}([:\-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![0-9A-Za-z:\-])"
)
_MAC_DOTS = Scanned(r"(?<![0-9A-Za-z.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![0-9A-Za-z.])")
_MAC_BARE = Scanned(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_MAC_EXAMPLE = Pattern(r"00[:\-]00[:\-]5e[:\-](?:00[:\-]53|ef)|0000\.5e00\.53", re.I)
"""RFC 7042's for documentation."""
_MAC_WORDS = Pattern(r"\bmac\b|hwaddr|ether\b|bssid|MACアドレス", re.I)


def mac_addresses(text: str) -> Iterator[Found]:
    """Hardware addresses, but broadcast and zero."""
    for pattern in (_MAC, _MAC_DOTS):
        for match in matches(pattern, text):
            to_many = int(match[0][1], 16) & 1  # a multicast address is nobody's
            nobody = to_many or len({c for c in match[0].lower() if c.isalnum()}) <= 2
            if not nobody and not _MAC_EXAMPLE.match(match[0]):
                yield Found(*match.span(), Kind.MAC_ADDRESS, 0.94)
    for match in matches(_MAC_BARE, text):
        if near(_MAC_WORDS, text, *match.span(), before=20):
            yield Found(*match.span(), Kind.MAC_ADDRESS, 0.9)
