"""What stands in a file of secrets: there a key says nothing, and yet its value is one.

`ansible-vault decrypt all.yml` and then `db_root: hockey_cobalt64`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_FILE = Scanned(
    r"(?<![A-Za-z])(?:ansible-vault[ ](?:decrypt|view|edit)|sops[ ](?:-d|--decrypt)|vault[ ]kv[ ]get|pass[ ]show|op[ ]item[ ]get"
    r"|(?:cat|less|bat|more|head|type)[ ][^\n]{0,60}?(?:secrets?|credentials?|passwords?|vault)[\w.\-]{0,24})[^\n]{0,80}\n"
)
_LINE = Pattern(
    r"[ \t]{0,8}(?:[\-*][ ])?([A-Za-z][\w.\-]{1,40})[ ]?[:=][ ]?[\"']?([^\s\"'#]{8,72})[\"']?[ \t]*(?:\n|$)"
)
_BLANK = Pattern(r"[ \t]*(?:---|#[^\n]*)?(?:\n|$)")
_SETTING = Pattern(
    r"(?:.*_)?(?:host(?:name)?|url|uri|port|path|dir(?:ectory)?|file(?:name)?|image|version|region|zone|env(?:ironment)?|mode|level|type|kind|namespace|db(?:name)?|database|bucket|endpoint|domain|email|timezone|locale|encoding|created|updated|lease_id|apiVersion)",
    re.I,
)
_PUBLIC = Pattern(
    r"[/~.$<{].*|https?://.*|.*\.(?:ya?ml|json|toml|env|txt|pem|crt|com|net|org|io|local|internal)|true|false|enabled|disabled|production|staging|development|!vault.*|\**|x{4,}",
    re.I,
)
_LINES = 40


def secret_files(text: str) -> Iterator[Found]:
    """Values of the lines behind a command that shows a file of secrets."""
    for opened in matches(_FILE, text):
        at = opened.end()
        for _ in range(_LINES):
            line = _LINE.match(text, at) or _BLANK.match(text, at)
            if line is None or line.end() == at:
                break
            if line.re.groups and not _SETTING.fullmatch(line[1]) and not _PUBLIC.fullmatch(line[2]):
                yield Found(*line.span(2), Kind.SECRET, 0.84)
            at = line.end()
