"""Secrets: keys with known beginnings, whole key blocks, credentials in links, and what is assigned to a secret's name.

A name (`DB_PASSWORD=`, `"api_key":`, `my password is`, `パスワードは`) makes a value secret unless the value is a
placeholder, a reference to where the secret is, or plain prose. Entropy alone convicts only long tokens that are
neither hashes nor ids of other kinds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import listed
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_A = r"[A-Za-z0-9]"
_B = r"[A-Za-z0-9_\-]"
_PREFIXED = Scanned(
    r"(?<![A-Za-z0-9])(?:"
    rf"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{{12,20}}"
    rf"|gh[pousr]_{_A}{{20,255}}|github_pat_[A-Za-z0-9_]{{20,255}}|gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|oas|imt)-{_B}{{16,80}}"
    rf"|xox[a-z]-[A-Za-z0-9\-]{{10,250}}|xapp-[0-9A-Za-z\-]{{10,200}}|xoxe\.{_B}{{10,200}}"
    rf"|sk-(?:proj-|ant-|svcacct-|or-|admin-|lf-|live-|test-)?{_B}{{16,250}}|(?:sk|rk|pk)_(?:live|test|prod)_{_A}{{10,120}}|whsec_[A-Za-z0-9+/=]{{16,80}}"
    rf"|AIza{_B}{{30,45}}|ya29\.[A-Za-z0-9_\-.]{{20,400}}|GOCSPX-{_B}{{20,40}}|[0-9]{{8,16}}-[a-z0-9]{{32}}\.apps\.googleusercontent\.com"
    rf"|SG\.{_B}{{16,32}}\.{_B}{{16,64}}|key-[0-9a-f]{{32}}|xkeysib-[a-f0-9]{{32,80}}-{_A}{{8,32}}|[0-9a-f]{{32}}-us[0-9]{{1,2}}"
    rf"|npm_{_A}{{30,50}}|pypi-{_B}{{40,250}}|hf_{_A}{{20,60}}|api_org_{_A}{{20,60}}|dop_v1_[a-f0-9]{{40,80}}|do[or]_v1_[a-f0-9]{{40,80}}"
    rf"|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{{24,64}}|sq0(?:atp|csp|idp)-{_B}{{20,60}}|EAAA[A-Za-z0-9_\-]{{50,80}}|EAA[A-Za-z0-9]{{40,300}}"
    rf"|(?:AC|SK)[a-f0-9]{{32}}|[0-9]{{8,10}}:AA{_B}{{30,40}}|ATATT3?{_B}{{30,250}}=?[A-F0-9]{{0,10}}|ATCTT3{_B}{{30,250}}"
    rf"|dapi[a-f0-9]{{32}}(?:-[0-9])?|dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._\-]{{20,100}}|lin_(?:api|oauth)_{_A}{{30,60}}|(?:secret|ntn)_{_A}{{38,60}}"
    rf"|gsk_{_A}{{40,80}}|r8_{_A}{{30,60}}|pplx-{_A}{{30,80}}|xai-{_A}{{30,120}}|nvapi-{_B}{{40,90}}|tvly-{_B}{{20,50}}|co_{_A}{{38,50}}"
    rf"|hv[sbr]\.{_B}{{20,250}}|s\.{_A}{{24}}(?![A-Za-z0-9])|sbp_[a-f0-9]{{30,60}}|pscale_(?:tkn|pw|oauth)_{_B}{{20,80}}|PMAK-[a-f0-9]{{20,30}}-[a-f0-9]{{30,40}}"
    rf"|NRAK-[A-Z0-9]{{20,40}}|NRII-{_B}{{20,40}}|gl(?:c|sa)_[A-Za-z0-9+/_=]{{30,400}}|access_token\$production\$[a-z0-9]{{13,20}}\$[a-f0-9]{{32}}|ops_eyJ{_B}{{40,900}}"
    rf"|dckr_(?:pat|oat)_{_B}{{20,60}}|AGE-SECRET-KEY-1[0-9A-Z]{{40,70}}|fo1_{_B}{{30,60}}|FlyV1\s+{_B}{{20,900}}|rubygems_[a-f0-9]{{40,60}}|CFPAT-{_B}{{30,60}}"
    rf"|pat[A-Za-z0-9]{{14}}\.[a-f0-9]{{64}}|figd_{_B}{{30,60}}|sntry[su]_{_B}{{40,250}}|phc_{_A}{{30,60}}|AccountKey=[A-Za-z0-9+/=]{{40,100}}|SharedAccessKey=[A-Za-z0-9+/=]{{30,60}}"
    rf"|[MNO][A-Za-z0-9_\-]{{22,28}}\.{_B}{{6}}\.{_B}{{27,40}}|amzn\.mws\.[0-9a-f\-]{{30,40}}|LTAI{_A}{{12,24}}|AKID{_A}{{13,40}}|rzp_(?:live|test)_{_A}{{10,24}}"
    rf"|vercel_{_A}{{20,40}}|railway_{_A}{{20,60}}|sl\.{_B}{{60,200}}|EZ[AT]K{_A}{{40,70}}|shippo_(?:live|test)_[a-f0-9]{{30,50}}|tskey-[a-z]+-{_B}{{10,80}}|cfut_{_A}{{30,80}}"
    rf"|[A-Za-z0-9_~.\-]{{3}}[0-9]Q~[A-Za-z0-9_~.\-]{{31,34}}"
    r")(?![A-Za-z0-9])"
)  # fmt: skip
_JWT = Scanned(rf"(?<![A-Za-z0-9])eyJ{_B}{{8,2000}}\.\s?(?:eyJ)?{_B}{{8,4000}}\.?\s?{_B}{{0,1000}}")
_PEM = Scanned(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----.{0,20000}?(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?:\s|\\n)*[A-Za-z0-9+/=:,\-]{4,100})*",
    re.S,
)
_CREDENTIAL_URL = Scanned(
    r"(?<![A-Za-z0-9])(?:jdbc:)?[A-Za-z][A-Za-z0-9+.\-]{1,24}://[^\s:/@\"'<>`]{0,100}:[^\s/@\"'<>`]{1,200}(?:@(?=[^\s\"'<>`]*@))?[^\s@\"'<>`]{0,80}@[^\s\"'<>`、。，]{1,300}"
)
_PASSWORD_IN_URL = Scanned(
    r"(?<![A-Za-z0-9])jdbc:[a-z][a-z0-9+.\-]{1,24}:(?://|@)?(?=[!-~]{0,300}[?&;](?:password|passwd|pwd)=[^&;\s]{3})[!#-&(-;=?-~]{4,400}",
    re.I,
)
"""What a driver connects with, the password among its options."""
_WEBHOOK = Scanned(
    r"https?://(?:hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_+\-]{10,200}|(?:\w+\.)?discord(?:app)?\.com/api/webhooks/[0-9]{5,25}/[A-Za-z0-9_\-]{10,100}"
    r"|[\w.\-]+\.webhook\.office\.com/[^\s\"'<>]{20,400}|(?:outlook\.office\.com|[\w.\-]+\.logic\.azure\.com)/[^\s\"'<>]{20,500}|hooks\.zapier\.com/hooks/[^\s\"'<>]{8,100}"
    r"|maker\.ifttt\.com/[^\s\"'<>]{15,200}|chat\.googleapis\.com/v1/spaces/[^\s\"'<>]{15,300}|api\.telegram\.org/bot[^\s\"'<>/]{20,80}[^\s\"'<>]{0,100}"
    r"|open\.(?:feishu\.cn|larksuite\.com)/[^\s\"'<>]{20,200}|oapi\.dingtalk\.com/[^\s\"'<>]{20,200}|qyapi\.weixin\.qq\.com/[^\s\"'<>]{20,200}|webhook\.site/[0-9a-f\-]{30,40}"
    r"|hook\.(?:[\w]+\.)?make\.com/[^\s\"'<>]{10,100}|[\w.\-]+/(?:webhooks?|hooks)/[^\s\"'<>]{12,300})",
    re.I,
)  # fmt: skip
_CONNECTION = Scanned(
    r"(?:(?:Server|Data Source|Host|Endpoint|DefaultEndpointsProtocol|User(?: ?Id)?|Uid|AccountName|Database|Initial Catalog)\s?=[^;\n\"']{1,200};\s?){1,8}"
    r"(?:[A-Za-z ]{2,30}=[^;\n\"']{0,200};\s?){0,8}?(?:Password|Pwd|AccountKey|SharedAccessKey|SharedAccessSignature)\s?=[^;\n\"']{1,200}(?:;[A-Za-z ]{2,40}=[^;\n\"']{1,100}){0,8};?",
    re.I,
)  # fmt: skip
_HEADER = Scanned(r"(?:bearer|basic|token|apikey)\s{1,2}([A-Za-z0-9._~+/=\-]{12,2000})", re.I)
_HEADER_NAME = Pattern(
    r"(?:authorization|x-[\w\-]*(?:key|token|auth)[\w\-]*|cookie|set-cookie)[\"']?\s?[:=]\s?[\"']?(?:bearer |basic |token )?$",
    re.I,
)
_COOKIE = Scanned(r"(?:set-)?cookie[\"']?\s?[:=]\s?[\"']?([^\n\"']{8,1000})", re.I)
_CURL = Scanned(
    r"(?:\s-u|\s--user|--proxy-user|\bhttps?(?:ie)?\s(?:-a|--auth))[ =][\"']?([^\s:\"']{1,60}:[^\s\"']{1,100})"
)
_CHPASSWD = Scanned(
    r"[\"']?(?<![A-Za-z0-9])([\w.\-]{1,32}:[^\"'\s:]{4,80})[\"']?\s{0,2}\|\s{0,2}(?:sudo )?chpasswd"
)
_FLAG = Scanned(
    r"(?:(?<![A-Za-z0-9\-])-{1,2}(?:[a-z\-]{0,24}(?:password|passwd|secret|token|api-key|apikey|passphrase|pass))(?:=|\s)|(?:un)?zip\s[^\n|;]{0,40}?-P\s?|7z\w{0,2}(?=\s)[^\n|;]{0,80}?\s-p(?=\S)|openssl(?=\s)[^\n|;]{0,120}?\s-(?:k|pass(?:in|out)?)\s(?:pass:)?|ldap\w{1,12}(?=\s)[^\n|;]{0,80}?\s-w\s|(?<!\S)/rp\s|secret\sset\s\S{1,60}\s(?:--body|-b)[ =]|mosquitto_\w{2,4}(?=\s)[^\n|;]{0,80}?\s-P\s|(?<!\S)-U\s?[\w.\-]{1,40}%|(?:sqlplus|sqlldr|expdp|impdp|rman)\s[\w.\-]{1,40}/(?=[^\s/]{3,80}@)|(?:mysql\w*|mariadb\w*)[^\n|;]{0,80}?\s-p(?=\S)|identified by\s{1,2}(?=[\"']|[^\s;]*[0-9])|sshpass\s-p\s?|-p:|requirepass\s|enable[ ](?:secret|password)(?:[ ][0-9])?\s|community\s(?=\S{3,40}\sR[OW])|redis-cli\s[^\n|;]{0,40}?-a\s|htpasswd\s-\S{1,5}\s\S{1,60}\s\S{1,40}\s)[\"']?([^\s\"']{3,200})",
    re.I,
)  # fmt: skip

_ECHOED = Scanned(
    r"echo\s(?:-n\s)?[\"']?([^\s\"'|]{4,80})[\"']?\s{0,2}\|\s{0,2}(?:sudo\s-\w{0,4}S|docker\slogin|passwd|gpg|openssl|cryptsetup|ssh-add)"
)

_NAME = (
    r"(?:(?:pass(?:word|wd|phrase|code|key)s?|passw(?:or)?t?d?|pwd|secrets?|tokens?|api[_\-. ]?keys?|access[_\-. ]?keys?|auth[_\-. ]?key|credentials?|private[_\-. ]?key"
    r"|(?:secret|signing|encryption|license|client|shared|account|master|session|service|deploy|storage|webhook|subscription)[_\-. ]?(?:key|secret)|bearer|[m2]fa[_\-. ]?code|pin[_\-. ]?(?:code|number)"
    r"|(?:security|verification|access|door|gate|alarm|backup|recovery|unlock|auth(?:entication)?|one[ -]time|confirmation|login|safe|locker|garage|entry)[_\-. ]?(?:code|key|answer|pin)s?|(?:php|j)?sess(?:ion)?[_\-]?id|[cx]srf[_\-]?token|seed[_\-. ]?phrase|mnemonic|recovery[_\-. ]?phrase"
    r"|wi-?fi[ _\-]?(?:key|code|pass\w*)|wlan[ \-]?(?:key|passwort|schlüssel|code|pass\w*)|cl(?:é|ef)s? (?:api|wi-?fi|secrète|wpa|d'api|du wi-?fi)|(?:safe|lock|padlock|locker|vault) combination|zugangscode|code d'accès|api-?schlüssel|clave (?:del? )?(?:wi-?fi|api|acceso)|código de (?:acceso|seguridad)"
    r"|kennwort|passwort|mot de passe|code secret|contrase[ñn]a|wachtwoord|digicode|code (?:porte|d'entrée|immeuble|wifi)|türcode|(?<=[\"'])auth(?=[\"'])|(?<![A-Za-z])(?:wi-?fi|pass|psk|psw|pw|otp|pin|salt|dsn|seed|mdp|clave|senha|creds?))(?:[_\-][A-Za-z0-9]{1,20}|[0-9]){0,2})"
)  # fmt: skip
_ASSIGNED = Scanned(
    rf"({_NAME})(?:\s?[\[(][^\])\n]{{0,24}}[\])])?[\"'`\]\)*]{{0,3}}\s{{0,3}}(?::\s?&?(?:'?static\s)?[A-Za-z]\w{{1,20}}\??\s?=(?=\s?[\"'`])|(?<=[\"'])(?=[\"'])|(?<=[\"']\s)(?=[\"'])|:=|=>|={{1,3}}|:|->|→|,(?=\s?[\"'])|>(?=[^<>\s]{{4,200}}</)|value\s?=(?=\s?[\"'])|,?\s{{0,12}}[\"']?value[\"']?\s?[:=](?=\s?[\"'])|(?<=with password )(?=[\"']))\s{{0,4}}(?:[a-z]{{1,2}}(?=[\"']))?[*`]{{0,2}}(?:(?:String::from|SecretStr|Secret|String|SecureString|SecretString::new)\((?=[\"']))?"
    r"(\"[^\"\n]{1,400}\"|'[^'\n]{1,400}'|`[^`\n]{1,400}`|(?:[^\s\"'`<>、。，；]|(?<=[A-Za-z0-9])<(?=3[A-Za-z])){1,400})",
    re.I,
)
_PROSE = Scanned(
    rf"({_NAME})(?:\s+(?:for|to|of|on|at|in|für|von|zum|zur|de|du|des|del|pour|para|per|voor|sur|en)\s+[\w@.' \-]{{1,40}}?)?[,:]?\s+(?:is|was|are|will be|changed to|set to|reset to|to|ist|lautet|es|est|era|=)\s*(?:now |still |just |currently |temporarily |set to |probably )?[:：]?\s*[*`]{{0,2}}"
    r"(\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|`[^`\n]{1,200}`|\([^()\s]{3,80}\)|[^\s\"'`、。，]{3,200})",
    re.I,
)
_APPOSED = Scanned(
    rf"(?<![A-Za-z])(?:my|our|the|his|her|their)[ ](?:\w+[ ]){{0,2}}?({_NAME}),[ ]([!-~]{{6,64}}?),[ ]", re.I
)
"""`our shared key, …, has to be replaced`."""
_ANSWERED = Scanned(
    rf"{_NAME}[^\n]{{0,60}}\n[^\n]{{0,40}}?(?:it(?:'|’)?s|it is|here(?: you go)?:?|sure:?|yes:?|yeah:?)[ ]{{1,2}}[\"'`]?([!-~]{{4,64}})",
    re.I,
)
"""`what was the wifi password?` and, on the next line, `its tulip-42`."""
_LOOSE = Scanned(
    rf"({_NAME})[ \t]{{0,3}}(?:\||は|が|を|\(|（|→|->)[ \t]{{0,3}}[\"'`「『]?([!-~]{{4,200}}?)[.]?(?=[\"'`」』]?[ \t]{{0,3}}(?:\||\)|）|[ぁ-んァ-ヶ一-龥、。]|\n|$))",
    re.I,
)
_COMES_LAST = Scanned(
    rf"[\"'`)]?[ ](?:is|was|as|for|ist|als|comme|como|es|est)[ ](?:(?:the|my|our|your|his|her|their|an?|das|die|der|dein|mein|meine|le|la|el|mi|mon|ma|votre)[ ])?(?:\w+[ ])?({_NAME})(?![ ](?:hash\w*|manag\w*|field|policy|format|algorithm|type|reset|prompt))",
    re.I,
)
_BEFORE_LABEL = Pattern(r"(?:^|[\s\"'`(])([^\s\"'`(]{4,64})$")
_SHORT_CODE = Pattern(
    r"pin|clave|código|code (?:de|du)|otp|2fa|pass|door|gate|alarm|garage|entry|safe|recovery|security", re.I
)
_MERE_CODE = Pattern(r"code(?! (?:de|du) )", re.I)
_ALGORITHM = Pattern(r"(?:sha|md|aes|rsa|bcrypt|scrypt|argon|base|utf|hmac|hs|pbkdf|oauth|ed)-?[0-9]+", re.I)
_BARE = Scanned(
    r"(?<![A-Za-z0-9])(?:(?:api|access|secret|auth|client|wi-?fi|login)[ _\-](?:key|token|password|code|secret)|(?:pin|door|gate|alarm|garage|entry|safe|recovery|security)[ ]code|(?:pin|clave|código|code|passwort|contraseña)[ ](?:de|del|du|der|für|zur|of|for)(?:[ ](?:la|el|le|the|die|das))?[ ]\w+|passwort|kennwort|mot de passe|contraseña|clave|password|passwd|pwd|passcode|pw|pass|pin|otp|2fa|code|passphrase|(?:wpa2?[ \-]?)?psk|パスワード|パス)[ \t]{1,2}([^\s\"'`、。，,;]{4,64})",
    re.I,
)
_JAPANESE = Scanned(
    r"(?:(?<![A-Za-z_\-])(?:PIN|PW|pass|pw)(?![A-Za-z_\-])|パスワード|パスフレーズ|パスコード|暗証番号|暗証|合言葉|秘密鍵|秘密の答え|シークレットキー?|シークレット|アクセストークン|トークン|(?:API|ＡＰＩ)キー|アクセスキー|認証コード|確認コード|ワンタイムパスワード|PINコード|暗号キー|解錠コード|パスワ|仮パス|Wi-?Fiのパス)"
    r"(?:[（(][^）)\n]{0,20}[）)])?[\"'」』]{0,2}\s{0,2}(?:は|:|：|=|が|を|→|＝|の値は|に|「|『|,|、|->|\||\(|（)?\s{0,2}(?:現在|今|仮に|たしか|確か)?\s{0,2}[「『\"'`]?([!-~]{4,200})",
    re.I,
)  # fmt: skip
_SEED = Scanned(
    r"(?:seed|mnemonic|recovery|backup|wallet|シード|リカバリー?|復元)[ \w]{0,20}(?:phrase|words|フレーズ)?[^a-z\n]{0,12}(?:is|are|は)?[^a-z\n]{0,6}\n?((?:[a-z]{3,8}[ ,\n]{1,2}){11,23}[a-z]{3,8})",
    re.I,
)
_ENTROPIC = Scanned(r"(?<![A-Za-z0-9+/_\-.])(?<![?&=]=)[A-Za-z0-9+/_\-]{30,200}={0,2}(?![A-Za-z0-9+/=_\-])")
_HASHED = Pattern(
    r"(?:sha-?\d{1,3}|md5|hash|commit|digest|checksum|etag|integrity|fingerprint|revision|blob|tree|ssh-(?:rsa|ed25519|dss)|nonce|uuid|guid|base64|data:[\w/+\-]+;?)\S{0,12}[\s:=\-,\"']{0,6}$",
    re.I,
)

_PLACEHOLDER = Pattern(
    r"^(?:$|[<\[{(%$].*|.*[>}]\)?;?$|x{3,}.*|X{3,}.*|[*•●.…\-_#]+|(?:your|my|the|insert|replace|enter|some|change|put|add)[_\-\s]?(?!.*[0-9]{2}).*(?:key|token|secret|pass|word|here|me|value|id|it|this)\w*.*"
    r"|YOUR[_\-].*|(?:example|sample|dummy|fake|placeholder|redacted|hidden|masked|removed|todo|tbd|changeme|change-me|n/?a|secret|password|passwd|pass|token|none|null|nil|true|false|undefined|string|str|int|bytes|bool|optional|required|test|foo|bar|baz)[\"',;:)]*"
    r"|(?:os|process|env|config|settings|self|this|ctx|req|request|args|options|props|secrets|vault|getenv|System|Environment|var|local|data|module|params|user|form|input|app|crypto|random|uuid|hashlib|base64|st|getpass|generate|create|get|fetch|load|read|new|await|await|fn|lambda|function|def|return|print|models?|hash|bcrypt|jwt|z|Field|Column|Mapped)[.(\[_ ].*"
    r"|\$\{?\w+.*|%\w+%|[\w.]+\(.*|[A-Za-z_][\w.]*\[(?:\w+\])?|[A-Z][A-Z0-9]*(?:_[A-Z0-9]*[A-Z][A-Z0-9]*){1,5}|.*(?:YOUR_|_HERE|EXAMPLE|PLACEHOLDER|xxxx|XXXX|<(?!3)|>|\*\*\*\*|\.\.\.|…).*)$",
)  # fmt: skip
_ENGLISH = listed("no secret")


_IDENTIFIER = Pattern(r"[a-z]+(?:_[a-z]+)+[),;:]*")
"""A variable's name: `api_key=api_key`."""
_ABOUT_SECRETS = Pattern(
    r"(?:count|type|url|uri|endpoint|expir\w*|ttl|length|len|min|max|limit|policy|field|name|hint|file|path|dir|size|format|enabled|required|attempts|reset|strength|regex|pattern|label|error|valid\w*|column|input|class|index|idx|mask|budget|usage|s_per\w*|_at|_in|_by|algorithm|header|prefix|status|check|confirm\w*)$",
    re.I,
)


def _worth(value: str, name: str, prose: bool) -> bool:
    """Can `value` be the secret itself?"""
    if _PLACEHOLDER.match(value) or len(value) < 3:
        return False
    low = value.lower().strip(".,;:!?)('\"")
    if (
        low == name.lower()
        or low in _ENGLISH
        or (low.startswith(("http://", "https://")) and not prose and "@" not in low)
    ):
        return False
    if _ABOUT_SECRETS.search(name) or value.startswith("/") or _IDENTIFIER.fullmatch(value):
        return False
    if re.search(r"tokens?$", name, re.I) and prose and not re.search(r"[A-Za-z]", value):
        return False
    if re.search(r"wi-?fi$", name, re.I) and not (any(c.isdigit() for c in value) and len(value) > 7):
        return False
    has_digit = any(c.isdigit() for c in value)
    has_mark = any(not c.isalnum() for c in value.strip(".,;:!?)'\""))
    if re.search(r"pin|otp|code|2fa|mfa", name, re.I) and "pass" not in name.lower():
        return has_digit and (len(value) >= 4)
    if re.search(r"token", name, re.I) and not prose:
        if re.search(
            r"max|num|count|total|limit|prompt_|completion|n_|tokens|usage|eos|pad|bos|unk|special|tokeniz",
            name,
            re.I,
        ):
            return False
        return has_digit or len(value) >= 16
    if prose:
        return (
            has_digit
            or (has_mark and len(value) >= 6 and not re.fullmatch(r"[a-z]+(?:[-'][a-z]+)+", low))
            or bool(re.search(r"[a-z][A-Z]", value))
        )
    return len(value) >= 4


_ASCII_THEN_JAPANESE = Pattern(r"[!-~]{6,}(?=[ぁ-んァ-ヴ一-龥])")


def _value(match: re.Match[str], group: int, text: str) -> tuple[int, int]:
    start, end = match.span(group)
    if (ascii_ := _ASCII_THEN_JAPANESE.match(text, start, end)) is not None:
        end = ascii_.end()  # "…KEY=abc123と書いた"
    if text[start] in "\"'`(" and end - start >= 2 and text[end - 1] in "\"'`)":
        return start + 1, end - 1
    tail = ",;)}]" if "(" not in text[start:end] else ",;}]"
    while end - start > 1 and (
        text[end - 1] in tail or (text[end - 1] in ".?\\" and (end >= len(text) or text[end] in " \n\"'"))
    ):
        end -= 1
    return start, end


def secrets(text: str) -> Iterator[Found]:
    """Every secret of one reading."""
    for pattern, certainty in (
        (_PREFIXED, 0.98),
        (_JWT, 0.98),
        (_PEM, 1.0),
        (_WEBHOOK, 0.99),
        (_CONNECTION, 0.97),
        (_PASSWORD_IN_URL, 0.97),
    ):
        for match in matches(pattern, text):
            if not re.search(r"YOUR|xxxx|XXXX|<|\.\.\.|EXAMPLE$", match[0]) or pattern is _PEM:
                yield Found(
                    match.start(), match.start() + len(match[0].rstrip(".,;:!?")), Kind.SECRET, certainty
                )
    for match in matches(_CREDENTIAL_URL, text):
        password = match[0].split("://", 1)[1].rpartition("@")[0].partition(":")[2]
        if password and not _PLACEHOLDER.match(password) and not re.match(r"[0-9]{2,5}/", password):
            yield Found(match.start(), match.start() + len(match[0].rstrip(".,;:!?)")), Kind.SECRET, 0.99)
    for match in matches(_HEADER, text):
        value = match[1]
        if (
            any(c.isdigit() for c in value)
            and not _PLACEHOLDER.match(value)
            and (len(value) >= 16 or _HEADER_NAME.search(text, max(0, match.start() - 40), match.start(1)))
        ):
            yield Found(*match.span(1), Kind.SECRET, 0.96)
    for pattern in (_CURL, _CHPASSWD, _FLAG, _ECHOED):
        for match in matches(pattern, text):
            if not _PLACEHOLDER.match(match[1].rpartition(":")[2]):
                yield Found(*match.span(1), Kind.SECRET, 0.95)
    for match in matches(_COOKIE, text):
        if re.search(r"sess|token|auth|sid", match[1], re.I) and any(c.isdigit() for c in match[1]):
            yield Found(match.start(1), match.start(1) + len(match[1].rstrip()), Kind.SECRET, 0.9)
    yield from _assigned(text)
    for match in matches(_SEED, text):
        yield Found(*match.span(1), Kind.SECRET, 0.96)
    yield from _entropic(text)
    yield from _issued(text)


_LEFT = Pattern(r"[A-Za-z0-9_.\-]{0,40}$")


def _named(match: re.Match[str], text: str) -> str:
    """The whole identifier that ends with the matched name."""
    left = _LEFT.search(text[max(0, match.start() - 40) : match.start()])
    return (left[0] if left else "") + match[1]


def _assigned(text: str) -> Iterator[Found]:
    for match in matches(_ASSIGNED, text):
        start, end = _value(match, 2, text)
        quoted = start != match.start(2)
        spaced = re.search(r":\s", text[match.end(1) : match.start(2)]) is not None and not quoted
        if start < end and _worth(
            text[start:end],
            _named(match, text),
            prose=(spaced and " " in text[match.start() : start].strip(": ")) or False,
        ):
            if (
                spaced
                and text[start:end].isalpha()
                and text[start:end].lower() == text[start:end]
                and text[end : end + 1] == " "
            ):
                continue  # "Password: the user must choose …"
            if (
                re.search(r"hash|salt", match[1], re.I)
                and re.fullmatch(r"\$2[aby]\$.*|[0-9a-f]{32,}", text[start:end]) is None
                and not quoted
            ):
                continue
            yield Found(start, end, Kind.SECRET, 0.95)
            yield from _further(match[1], text, start, end)
    for match in matches(_PROSE, text):
        start, end = _value(match, 2, text)
        quoted = start != match.start(2)
        value = text[start:end]
        if value.isdigit() and _MEASURE.match(text, end):
            continue
        if start < end and (
            (quoted and " " not in value and _worth(value, _named(match, text), False))
            or _worth(value, _named(match, text), True)
            or _is_plain_word(value, match[1], text, end)
        ):
            yield Found(start, end, Kind.SECRET, 0.94)
            yield from _further(match[1], text, start, end)
    for match in matches(_APPOSED, text):
        if any(c.isdigit() for c in match[2]) and _worth(match[2], _named(match, text), True):
            yield Found(*match.span(2), Kind.SECRET, 0.86)
    for match in matches(_JAPANESE, text):
        value = match[1].rstrip("\"'`.,;)")
        if (
            any(c.isalnum() for c in value)
            and not _PLACEHOLDER.match(value)
            and (any(c.isdigit() for c in value) or (len(value) >= 6 and not match[0].isascii()))
        ):
            yield Found(match.start(1), match.start(1) + len(value), Kind.SECRET, 0.94)
    for match in matches(_ANSWERED, text):
        said = match[match.re.groups].rstrip(".,!?\"'`")
        if any(c.isdigit() for c in said) and _worth(said, "password", True):
            start = match.start(match.re.groups)
            yield Found(start, start + len(said), Kind.SECRET, 0.9)
    for match in matches(_LOOSE, text):
        if _worth(match[2], _named(match, text), True):
            yield Found(*match.span(2), Kind.SECRET, 0.93)
    for match in matches(_COMES_LAST, text):
        told = _BEFORE_LABEL.search(text, max(0, match.start() - 66), match.start())
        if told and any(c.isdigit() for c in told[1]) and not _ALGORITHM.match(told[1]):
            if _worth(told[1], match[1], True):
                yield Found(*told.span(1), Kind.SECRET, 0.92)
    for match in matches(_BARE, text):
        value = match[1].rstrip(".!?:)")
        mixed = any(c.isdigit() for c in value) and (
            any(c.isalpha() for c in value) or _SHORT_CODE.match(match[0]) is not None
        )
        if mixed and "://" not in value and not _PLACEHOLDER.match(value) and not _MERE_CODE.match(match[0]):
            yield Found(match.start(1), match.start(1) + len(value), Kind.SECRET, 0.9)


_NEXT = Pattern(
    r"[ ]?(?:[,;/]|[ ]and[ ]|[ ]or[ ]|\r?\n)[ \t]{0,4}(?:[\-*•][ ]|[0-9]{1,2}[.)][ ])?([!-~]{4,40}?)(?=[,;.]?(?:\s|$))"
)


def _further(name: str, text: str, start: int, end: int) -> Iterator[Found]:
    """What a list of codes goes on with: values as long as the first, or digits where it is digits."""
    size, first = end - start, text[start:end]
    while name.lower().endswith("s") and (match := _NEXT.match(text, end)) is not None:
        start, end = match.span(1)
        digits = text[start:end].isdigit() and first.isdigit() and abs(end - start - size) < 6
        if (end - start != size and not digits) or not any(c.isdigit() for c in match[1]):
            return
        yield Found(start, end, Kind.SECRET, 0.9)


_MEASURE = Pattern(
    r"[ ](?:years?|lines?|words?|characters?|chars|digits?|bytes|bits|days|hours|minutes|seconds|times|mm|cm)(?![a-z])"
)
_STATE = Pattern(
    r".{2,}(?:ed|ing|able|ible|ly|ive|ful|less|ous|ent|ant|al|ic|ate|en|er|est|ise|ize)|(?:not|too|very|so|the|an?|in|on|at|my|your).*",
    re.I,
)
"""How words end that say how a password is, rather than which."""
_GOES_ON = Pattern(
    r"[\"'`]?(?:[.,!;)\n]|[ ]?$|[ ](?:lol|btw|thx|thanks|pls|please|and|but|now|for|so|if|in case)(?![A-Za-z]))",
    re.I,
)


def _is_plain_word(value: str, name: str, text: str, end: int) -> bool:
    """A password without digits or marks: `the wifi password is sunflower`."""
    plain = value.isascii() and value.isalpha() and value.islower() and 5 < len(value) < 25
    if not plain or not re.search(r"pass(?:word|wd|code|phrase)?$|pwd?$", name, re.I):
        return False
    if value in _ENGLISH or _STATE.fullmatch(value) or _PLACEHOLDER.match(value):
        return False
    return _GOES_ON.match(text, end) is not None


def _entropic(text: str) -> Iterator[Found]:
    for match in matches(_ENTROPIC, text):
        token = match[0]
        kinds = sum(any(test(c) for c in token) for test in (str.islower, str.isupper, str.isdigit))
        digits = sum(c.isdigit() for c in token)
        if (
            kinds == 3
            and digits >= 3
            and _entropy(token) >= 4.2
            and token.count("/") < 4
            and token.count("-") < 5
        ):
            if not _HASHED.search(text, max(0, match.start() - 40), match.start()) and not _wordy(token):
                yield Found(*match.span(), Kind.SECRET, 0.7)


def _wordy(token: str) -> bool:
    """Does a token hold long words, tied or in camel case, rather than letters drawn one by one?"""
    if re.search(r"[a-z]{4,}[_\-][a-z]{4,}", token):
        return True
    runs = re.findall("[A-Za-z]{9,}", token)
    return any(not 0.25 <= sum(c.isupper() for c in run) / len(run) <= 0.85 for run in runs)


_ISSUED = Scanned(
    r"(?<![A-Za-z0-9_.\-/])(?!(?:sha|md|img|id|uid|uuid|commit|blob|rev|ver|test|user|file|run|msg|req|evt|pi|cus|ch|in|sub|txn|prod|price|acct|cs|pm|call|resp|asst|thread|batch|toolu|pk|pub|org|proj|trace|span)[0-9]{0,3}_)[a-z]{2,7}[0-9]?_(?:[a-z]{2,6}_)?(?=[A-Za-z_]{0,24}[0-9])(?:[a-f0-9]{28,64}(?:_[a-f0-9]{8,32})?|[A-Za-z0-9]{28,80})(?![A-Za-z0-9_\-])"
)
"""A key as vendors issue them now: a short prefix that says whose, and what was drawn."""


def _issued(text: str) -> Iterator[Found]:
    for match in matches(_ISSUED, text):
        drawn = match[0].partition("_")[2]
        longest = max(drawn.split("_"), key=len)
        if sum(c.isalpha() for c in longest) < 4:
            continue
        if sum(c.isdigit() for c in drawn) > 3 and _entropy(drawn) > 3.2 and not _wordy(drawn):
            if not _HASHED.search(text, max(0, match.start() - 40), match.start()):
                yield Found(*match.span(), Kind.SECRET, 0.8)


def _entropy(token: str) -> float:
    """Bits per character of the token's own letter counts."""
    return -sum(n / len(token) * math.log2(n / len(token)) for n in Counter(token).values())
