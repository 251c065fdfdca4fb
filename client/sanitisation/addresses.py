"""Postal addresses in Latin script: a house number and a street, with what belongs to them around.

Grammars for English (USPS street suffixes, UK blocks that end in a postcode), German, French, Spanish, Italian,
Dutch, and romanised Japanese. Unit, building, town, state and postal code join the span when they stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_SUFFIX = (
    r"(?:alley|aly|annex|arcade|avenue|ave|av|bayou|beach|bend|bluffs?|blvd|boulevard|bottom|branch|bridge|brooks?|burgs?|bypass|camp|canyon|cape|causeway|center|centre|circles?|cir|cliffs?|close|club|commons?|corners?|course"
    r"|courts?|ct|coves?|creek|crescent|cres|crest|crossing|crossroads?|curve|dale|dam|divide|drives?|dr|estates?|expressway|extensions?|falls?|ferry|fields?|flats?|fords?|forest|forges?|forks?|fort|freeway|gardens?|gdns|gate|gateway"
    r"|glens?|greens?|groves?|harbors?|haven|heights|highway|hwy|hills?|hollow|inlet|islands?|isle|junctions?|keys?|knolls?|lakes?|land|landing|lane|ln|lights?|loaf|locks?|lodge|loop|mall|manors?|meadows?|mews|mills?|mission|motorway"
    r"|mount|mountains?|neck|orchard|oval|overpass|parade|parks?|parkways?|pkwy|pass|passage|path|pike|pines?|place|pl|plains?|plaza|points?|ports?|prairie|quay|radial|ramp|ranch|rapids?|rest|ridges?|rise|river|roads?|rd|route|row|run"
    r"|shoals?|shores?|skyway|springs?|spurs?|squares?|sq|station|stravenue|stream|streets?|str|st|summit|terrace|ter|throughway|trace|track|trafficway|trail|trl|trailer|tunnel|turnpike|underpass|unions?|valleys?|via|viaduct|views?|villages?|ville|vista|walks?|wall|ways?|wells?|wharf|yard)"
)  # fmt: skip
_STRONG_SUFFIX = r"(?:street|st|str|avenue|ave|av|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|circle|cir|terrace|ter|parkway|pkwy|highway|hwy|way|square|sq|crescent|cres|close|mews|trail|trl|loop|alley|row|gardens|gdns|walk|grove|hill|plaza|pike|turnpike|quay)"
_DIRECTION = r"(?:(?:north|south|east|west|n|s|e|w|ne|nw|se|sw)\.?[ ])?"
_WORD = r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'.\-]{0,24}"
_NAME = rf"(?:{_WORD}[ ]|[0-9]{{1,3}}(?:st|nd|rd|th)[ ]){{1,4}}?"
_NUMBER = r"(?:#|no\.?[ ])?[0-9]{1,6}[A-Za-z]?(?:[\-/][0-9]{1,4}[A-Za-z]?)?"
_UNIT = (
    r"(?:apt\.?|apartment|suite|ste\.?|unit|flat|room|rm\.?|floor|fl\.?|bldg\.?|building|studio|box|lot|trailer|block|tower|wing|#)[ .#]{0,3}(?:[A-Za-z]?-?[0-9]{1,5}[A-Za-z]?|[A-Za-z])(?![A-Za-z0-9])"
    r"|[0-9]{1,3}(?:st|nd|rd|th)[ ](?:floor|fl)"
)
_COMMA = (
    r"(?:[ ]{0,2},[ ]{0,2}(?:\r?\n[ \t>|]{0,8})?|[ ]{0,2}(?:\r?\n|\\n)[ \t>|]{0,8}|[ ]{1,2}[-–][ ]|[ ]{1,2})"
)
_STATE = (
    r"(?:A[LKZRAEPS]|C[AOT]|D[EC]|F[LMN]|G[AU]|HI|I[DLNA]|K[SY]|LA|M[EHDAINSOTP]|N[EVHJMYCD]|O[HKR]|P[WAR]|RI|S[CD]|T[NX]|UT|V[TIA]|W[AVIY]"
    r"|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana"
    r"|Nebraska|Nevada|New[ ](?:Hampshire|Jersey|Mexico|York)|North[ ](?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode[ ]Island|South[ ](?:Carolina|Dakota)|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West[ ]Virginia|Wisconsin|Wyoming"
    r"|ON|QC|BC|AB|MB|SK|NS|NB|NL|PE|NSW|VIC|QLD|WA|SA|TAS|ACT|NT)"
)  # fmt: skip
_ZIP = r"[0-9]{5}(?:[\- ][0-9]{4})?(?![0-9])"
_UK = r"(?:GIR ?0AA|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2})(?![A-Za-z0-9])"
_CANADA = r"[A-Z][0-9][A-Z][ \-]?[0-9][A-Z][0-9](?![A-Za-z0-9])"
_TOWN = r"(?:[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'.\-]{1,24}[ ]?){1,4}?"
_COUNTRY = r"(?:USA|U\.S\.A\.|United States(?: of America)?|UK|U\.K\.|United Kingdom|England|Scotland|Wales|Canada|Australia|Japan|Germany|Deutschland|France|Spain|España|Italy|Italia|India|Ireland|Netherlands)(?![A-Za-z])"
_TAIL = (
    rf"(?:{_COMMA}(?:{_UNIT})){{0,3}}"
    rf"(?:(?:{_COMMA}{_TOWN}){{1,2}}?{_COMMA}{_STATE}(?![A-Za-z]){_COMMA}{_ZIP}"
    rf"|(?:{_COMMA}{_TOWN}){{0,3}}?{_COMMA}(?:{_UK}|{_CANADA}|{_ZIP})"
    rf"|(?:{_COMMA}{_TOWN})??{_COMMA}(?-i:{_STATE})(?![A-Za-z])(?:{_COMMA}[0-9]{{4,5}}(?![0-9]))?"
    rf"|[ ]?,[ ]?[A-Z][A-Za-zÀ-ɏ'.\-]{{2,24}}(?:[ ][A-Z][A-Za-zÀ-ɏ'.\-]{{1,24}}){{0,2}}(?=[.,;\n)\"']|$)(?:[ ]?,[ ]?[A-Z][A-Za-zÀ-ɏ'.\-]{{2,24}}(?:[ ][A-Z][A-Za-zÀ-ɏ'.\-]{{1,24}}){{0,2}}(?=[.,;\n)\"']|$))?"
    rf")?(?:{_COMMA}{_COUNTRY})?"
)
_LEAD = rf"(?:(?:{_UNIT}){_COMMA})?(?:[A-Z][A-Za-z'\-]{{2,20}}[ ](?:House|Cottage|Court|Towers?|Building|Lodge|Hall|Mansions?|Apartments|Heights){_COMMA})?"
_STREET = Scanned(
    rf"(?<![A-Za-z0-9\-.$€£/:#])(?:{_LEAD}){_NUMBER},?[ ]{_DIRECTION}(?P<name>{_NAME}){_DIRECTION}(?P<suffix>{_SUFFIX})\b\.?(?:(?:(?<=county road)|(?<=state road)|(?<=ranch road)|(?<=township road)|(?<=highway)|(?<=route))[ ][0-9]{{1,4}}[A-Z]?(?=,|\n|$|[ ][A-Z]))?(?![ ]{_STRONG_SUFFIX}\b)(?:[ ](?:north|south|east|west|[NSEW]{{1,2}})\b\.?)?(?P<tail>{_TAIL})",
    re.I,
)
_BROADWAY = Scanned(
    rf"(?<![A-Za-z0-9\-.$/:])(?:{_LEAD}){_NUMBER}[ ](?:Broadway|The[ ][A-Z][a-z]+|(?:Avenue|Highway|Hwy|Route|Rte\.?|County Road|Rue)[ ][A-Z0-9][A-Za-z0-9]{{0,12}}|[A-Z][a-z]{{2,14}}(?:gate|wood|field|side|bank|lands|croft)){_TAIL}"
)
_PO_BOX = Scanned(
    rf"(?<![A-Za-z0-9])(?:p\.?[ ]?o\.?[ ]?box|post office box|postfach|apartado(?: de correos)?|boîte postale|psc|unit|cmr)[ ]#?[0-9]{{1,7}}(?:,?[ ]box[ ][0-9]{{1,6}})?{_TAIL}",
    re.I,
)
_MILITARY = Scanned(
    rf"(?<![A-Za-z0-9])(?:(?:PSC|Unit|CMR)[ ][0-9]{{1,5}},?[ ]Box[ ][0-9]{{1,5}}|US[NSCGVT]{{1,3}}[ ][A-Z][A-Za-z\-]+){_COMMA}(?:APO|FPO|DPO){_COMMA}A[AEP][ ]{_ZIP}"
)
_UK_BLOCK = Scanned(
    rf"(?<![A-Za-z0-9\\]){_UK}|(?<![A-Za-z0-9\\])[a-z]{{1,2}}[0-9][a-z0-9]? [0-9][a-z]{{2}}(?![A-Za-z0-9])"
)
_GERMAN = Scanned(
    r"(?<![A-Za-zÀ-ɏ0-9])(?:[A-ZÄÖÜ][\wäöüß.\-]{0,30}(?:[ ][A-ZÄÖÜ][\wäöüß.\-]{1,20}){0,2}?[ ]?(?:straße|strasse|str\.|gasse|weg|platz|allee|ring|damm|ufer|chaussee|steig|stieg|pfad|hof|berg|markt|graben|kamp|Straße|Strasse|Str\.|Gasse|Weg|Platz|Allee|Ring|Damm|Ufer|laan|straat|gracht|plein|kade)"
    r"|(?:Am|An der|Auf der|Auf dem|Im|In der|Unter den|Zum|Zur|Alte|Alter|Neue|Neuer|Hinter der|Unter der)[ ][A-ZÄÖÜ][\wäöüß\-]{2,24}(?:[ ][A-ZÄÖÜ][\wäöüß\-]{2,20})?)"
    r"[ ]{1,2}[0-9]{1,4}[ ]?[a-hA-H]?(?:[ ]?[\-/][ ]?[0-9]{1,4}[a-h]?)?(?![0-9A-Za-z])"
    rf"(?:(?:{_COMMA}|[ ]in[ ])(?:D-|A-|CH-)?[0-9]{{4,5}}(?: ?[A-Z]{{2}})?[ ][A-ZÀ-Ý][A-Za-zÀ-ɏ\-]{{1,30}}(?:(?:[ ](?:am|an der|im|bei|ob der|in der|a\.)[ ]|[ ])[A-ZÀ-Ý][A-Za-zÀ-ɏ().\-]{{1,24}}){{0,3}})?(?:{_COMMA}{_COUNTRY})?"
)  # fmt: skip
_CAPITALISED = r"[A-ZÀ-Þ][\wÀ-ɏ'.\-]{1,24}"
_ANY_EUROPE = Scanned(
    rf"(?<![A-Za-zÀ-ɏ0-9\-]){_CAPITALISED}(?:[ ][\wÀ-ɏ'.\-]{{2,24}}){{0,3}}[ ][0-9]{{1,4}}[ ]?[a-hA-H]?(?:[ ]?[\-/][ ]?[0-9]{{1,4}}[a-h]?)?[ ]?(?:,[ ]?|\r?\n)"
    rf"(?:D-|A-|CH-|F-|I-|E-)?[0-9]{{5}}[ ]{_CAPITALISED}(?:[ ](?:am|an der|im|bei|ob der|in der)[ ]{_CAPITALISED}|[ ]{_CAPITALISED}){{0,2}}"
)
_ANY_US = Scanned(
    rf"(?<![A-Za-z0-9\-.$/:])[0-9]{{1,6}}(?:[ ]{_CAPITALISED}){{1,4}}(?:,[ ](?:{_UNIT}))?,[ ]{_CAPITALISED}(?:[ ]{_CAPITALISED}){{0,2}},[ ]{_STATE}[ ]{_ZIP}"
)
"""What nothing but an address looks like, whatever the street is called."""
_GERMAN_STRONG = Pattern(
    r"stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|chaussee|laan|straat|gracht|[0-9]{5}", re.I
)
_GERMAN_LOWER = Scanned(
    rf"(?<![A-Za-zÀ-ɏ0-9])[a-zà-ɏ][a-zà-ɏ.\-]{{1,40}}(?:straße|strasse|str\.|gasse|weg|platz|allee|ring|damm)[ ][0-9]{{1,4}}[ ]?[a-h]?(?:[ ]?[\-/][ ]?[0-9]{{1,4}})?{_COMMA}[0-9]{{5}}[ ][A-Za-zÀ-ɏ\-]{{2,30}}(?:[ ](?:am|an der|im|in der|bei|ob der)[ ][A-Za-zÀ-ɏ\-]{{2,24}})?"
)
_GERMAN_HOME = Scanned(
    r"(?:wohn[et]|wohnhaft|adresse|anschrift|gezogen)[^.\n]{0,24}?[ :](?:in der|im|am|an der)?[ ]?([a-zà-ɏ][a-zà-ɏ.\-]{1,40}(?:straße|strasse|str\.|gasse|weg|platz|allee|ring|damm)[ ][0-9]{1,4}[ ]?[a-h]?)(?![0-9a-z])",
    re.I,
)
_HOME_STREET = Scanned(
    r"(?:j'habite|habite|vive|vivo|domicili[ée]e?|vivimos)[^.\n]{0,16}?[ ]((?:[0-9]{1,4}(?:[ ]?(?:bis|ter))?,?[ ](?:rue|avenue|boulevard|place|chemin|impasse|quai)|(?:calle|avenida|plaza|paseo))[ ][a-zà-ɏ'\- ]{2,40}?(?:[ ,]+[0-9]{1,4})?)(?=[.,;\n]|$)",
    re.I,
)
_DUTCH = Scanned(
    rf"(?<![A-Za-zÀ-ɏ0-9])[A-Za-zÀ-ɏ'\-]{{2,30}}(?:straat|laan|gracht|plein|kade|weg|dijk|singel|hof)[ ][0-9]{{1,4}}[ ]?[a-z]?(?:-[0-9]{{1,3}})?{_COMMA}[0-9]{{4}}[ ]?[A-Z]{{2}}[ ][A-Za-zÀ-ɏ'\-]{{2,30}}",
    re.I,
)
_FRENCH = Scanned(
    r"(?<![A-Za-zÀ-ɏ0-9])[0-9]{1,4}(?:[ ]?(?:bis|ter|quater|[A-D]))?,?[ ](?:rue|avenue|av\.|boulevard|boul\.|bd|bld|place|chemin|impasse|all[ée]e|quai|cours|route|square|passage|sentier|faubourg|villa|voie|cit[ée])[ ]"
    r"(?:de[ ]la[ ]|de[ ]l'|du[ ]|des[ ]|de[ ]|d'|l'|le[ ]|la[ ]|les[ ])?[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'\-]{0,30}(?:[ ](?:de|du|des|la|le|et|d'[A-Za-zÀ-ɏ]+|[A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]{1,24})){0,5}"
    rf"(?:{_COMMA}(?:b[âa]t(?:iment)?\.?|appt?\.?|appartement|[ée]tage|escalier|esc\.|r[ée]sidence)[ ]?[A-Za-z0-9]{{1,12}}){{0,3}}"
    rf"(?:{_COMMA}(?:F-)?[0-9]{{5}}[ ][A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]{{1,30}}(?:[ ](?:sur|sous|le|la|les|lès|en|de|[A-ZÀ-Ý0-9][A-Za-zÀ-ɏ'\-]*)){{0,4}})?(?:{_COMMA}{_COUNTRY})?",
    re.I,
)  # fmt: skip
_FRENCH_UNNUMBERED = Scanned(
    rf"(?<![A-Za-zÀ-ɏ0-9])(?:rue|avenue|boulevard|place|chemin|impasse|all[ée]e|quai|cours|route)[ ][A-Za-zÀ-ɏ'\- ]{{2,50}}{_COMMA}[0-9]{{5}}[ ][A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'\-]{{1,40}}(?:[ ][A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]*){{0,3}}",
    re.I,
)
_SPANISH = Scanned(
    r"(?<![A-Za-zÀ-ɏ0-9])(?:calle|c/|c\.|avenida|avda\.?|av\.|plaza|pza\.?|plza\.?|paseo|p\.º|pº|carrera|cra\.|camino|ronda|traves[íi]a|glorieta|rambla|callej[óo]n|pasaje|pra[çc]a|travessa|estrada|v[íi]a|viale|piazza|corso|vicolo|largo|strada|rua|urbanizaci[óo]n|cuesta|acceso|alameda|vial|pasadizo|c[áa]ñada|ca[ñn]ada|callejón)[ ]?"
    r"(?:de[ ]las?[ ]|de[ ]los[ ]|del[ ]|de[ ]|la[ ]|el[ ]|della[ ]|dei[ ]|da[ ]|do[ ])?[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'.\-]{1,24}(?:[ ][A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'.\-]{0,24}){0,4}?,?[ ](?:n[.ºo°]{0,2}[ ]?|n[úu]m\.?[ ]?|#)?[0-9]{1,4}(?![0-9])[A-Za-z]?(?![A-Za-z])"
    rf"(?:{_COMMA}(?:[0-9]{{1,2}}[ºª°oa]?[ ]?(?:[A-Za-z]|izda\.?|dcha\.?|derecha|izquierda|piso)(?![a-z])|piso[ ][0-9]+[ºª]?(?:[ ]?[A-Z])?|puerta[ ]\w{{1,3}}|esc\.?[ ]\w{{1,2}}|bajo(?:[ ][A-Z])?|apto?\.?[ ]?\w{{1,4}}|interno[ ]\w{{1,3}}|(?:Piso|Apt\.)[ ][0-9]+)){{0,3}}"
    rf"(?:{_COMMA}(?:[0-9]{{5}}|[0-9]{{4}}-[0-9]{{3}})[ ,]{{1,2}}[A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]{{1,24}}(?:[ ](?:de|del|la|[A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]+)){{0,4}}|{_COMMA}[A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]{{1,24}}(?:[ ][A-ZÀ-Ý][A-Za-zÀ-ɏ'\-]{{1,24}}){{0,2}},[ ]?[0-9]{{5}})?(?:{_COMMA}{_COUNTRY})?",
    re.I,
)  # fmt: skip
_ROMAN_JAPAN = Scanned(
    r"(?<![A-Za-z0-9\-])(?:[A-Z][A-Za-z0-9'\- ]{2,30}[ ]#?[0-9]{1,4}(?:F|-?go)?,[ ]?)?[0-9]{1,4}(?:-[0-9]{1,4}){1,3}(?:-(?:ch[oō]me|banchi|go))?,?[ ][A-Z][A-Za-zōū'\-]{2,24}"
    r"(?:,?[ ][A-Z][A-Za-zōū'\-]{2,24}){0,4}(?:,?[ ]〒?[0-9]{3}-[0-9]{4})?(?:,?[ ](?:Japan|JAPAN))?"
)  # fmt: skip
_ROMAN_MARK = Pattern(
    r"-(?:ku|shi|cho|ch[oō]|machi|gun|mura|ken|fu|to|ch[oō]me|dori)(?![a-z])|Tokyo|Osaka|Kyoto|Japan|[0-9]{3}-[0-9]{4}",
    re.I,
)
_STREET_WORDS = Pattern(
    r"\b(?:at|on|to|from|near|in|live|lives|living|address|ship|deliver|located|moved|home|house|resid\w+|send|visit|office|stay\w*|meet)\b|[:,\n]\s*$",
    re.I,
)
_NOT_STREET = Pattern(
    r"^(?:[\w\-]+[ ])?(?:minutes?|mins?|hours?|days?|weeks?|months?|years?|people|percent|miles?|km|points?|steps?|ways?|times?|items?|pages?|dollars?|users?|of|and|or|to|in|the|more|other|different|great|simple|best|top|new|easy|million|billion|thousand|hundred|km|kg|cm|mm|gb|mb|of the|key|main|possible|common|good|better|is|are|was|in a|as|for|by|if|with|per|on|a|an|your|my|this|that|these)[ ]",
    re.I,
)  # fmt: skip


_LABELLED = Scanned(
    r"(?<![A-Za-z])(?<!ip )(?<!ip_)(?<!mail )(?<!mail_)(?<!mac )(?<!mac_)(?<!web )(?<!memory )(?<!wallet )(?<!bitcoin )(?<!eth )(?<!server )(?<!contract )(?:(?:home|mailing|billing|shipping|delivery|postal|street|residential|current|work|office|permanent|full)[ _\-]?)?(?:address|addr|residence|adresse|anschrift|direcci[óo]n|domicilio|indirizzo|adres|住所|現住所|所在地|送付先|配送先)(?:[ _]?(?:line)?[ _]?[12])?[\"'`*]{0,3}[ \t.]{0,12}[:=：][ \t]{0,3}[\"'`*]{0,2}([^\n\"'|;<>{}\t]{6,140})",
    re.I,
)


def addresses(text: str) -> Iterator[Found]:
    """Postal addresses of a reading."""
    if not any("0" <= c <= "9" for c in text):
        return
    for match in matches(_STREET, text):
        if _is_street(text, match):
            yield Found(match.start(), _trimmed(text, match.start(), match.end()), Kind.ADDRESS, 0.86)
    for pattern, certainty in ((_BROADWAY, 0.84), (_MILITARY, 0.9), (_PO_BOX, 0.86)):
        for match in matches(pattern, text):
            if pattern is not _PO_BOX or not re.match(r"unit", match[0], re.I) or "box" in match[0].lower():
                yield Found(
                    match.start(), _trimmed(text, match.start(), match.end()), Kind.ADDRESS, certainty
                )
    for match in matches(_GERMAN, text):
        if _GERMAN_STRONG.search(match[0]):
            yield Found(*match.span(), Kind.ADDRESS, 0.87)
    for pattern in (_ANY_EUROPE, _ANY_US, _DUTCH, _GERMAN_LOWER, _FRENCH, _FRENCH_UNNUMBERED, _SPANISH):
        for match in matches(pattern, text):
            yield Found(match.start(), _trimmed(text, match.start(), match.end()), Kind.ADDRESS, 0.86)
    for match in matches(_ROMAN_JAPAN, text):
        if _ROMAN_MARK.search(match[0]):
            yield Found(*match.span(), Kind.ADDRESS, 0.88)
    for pattern in (_GERMAN_HOME, _HOME_STREET):
        for match in matches(pattern, text):
            if any(c.isdigit() for c in match[1]):
                yield Found(*match.span(1), Kind.ADDRESS, 0.84)
    yield from _british(text)
    for match in matches(_LABELLED, text):
        value = match[1].rstrip(" ,.;")
        if (
            re.search(r"[0-9]", value)
            and re.search(r"[^\W\d_]", value)
            and re.search(r"[ ,一-龥]", value)
            and not re.search(r"@|://|0x", value)
        ):
            yield Found(match.start(1), match.start(1) + len(value), Kind.ADDRESS, 0.78)


_PUBLIC_HOUSE = Pattern(r"10 downing st|1600 pennsylvania av|221b baker st|4 privet dr", re.I)
"""Addresses that everybody knows."""


def _is_street(text: str, match: re.Match[str]) -> bool:
    name, tail = match["name"], match["tail"]
    if _NOT_STREET.match(name) or _PUBLIC_HOUSE.match(match[0]):
        return False
    strong = re.fullmatch(_STRONG_SUFFIX, match["suffix"], re.I) is not None
    if re.search(rf"{_ZIP}|{_STATE}$", tail) and len(tail) > 4:
        return True
    capital = all(part[0].isupper() or part[0].isdigit() for part in name.split())
    if capital and match["suffix"][0].isupper():
        return (
            strong
            or bool(tail.strip())
            or _STREET_WORDS.search(text, max(0, match.start() - 30), match.start()) is not None
        )
    return (
        strong
        and len(name.split()) <= 3
        and _STREET_WORDS.search(text, max(0, match.start() - 40), match.start()) is not None
    )


def _trimmed(text: str, start: int, end: int) -> int:
    while end > start + 1 and (
        text[end - 1] in " ,\n\r\t-–|>"
        or (
            text[end - 1] == "."
            and not re.search(r"(?:\b[A-Za-z]|\b(?:st|rd|ave|blvd|dr|ln|ct|pl))\.$", text[start:end], re.I)
        )
    ):
        end -= 1
    return end


_UK_PART = Pattern(
    r"(?:flat|unit|studio|apartment|apt|suite)\b|^[0-9]{1,4}[A-Za-z]?\b|\b(?:street|road|lane|avenue|close|drive|way|mews|court|house|place|terrace|gardens|square|crescent|grove|hill|park|view|walk|row|cottage)\b",
    re.I,
)


_UK_LEAD = Pattern(r"\b(?:flat|unit|studio|apt|apartment|suite)\b|(?<![\w])[0-9]{1,4}[A-Za-z]?[ ]", re.I)


def _british(text: str) -> Iterator[Found]:
    """The lines or comma parts before a UK postcode, back to the first that holds a number or a street word."""
    for match in matches(_UK_BLOCK, text):
        window_start = max(0, match.start() - 120)
        window = text[window_start : match.start()]
        parts = re.split(r"(,[ \t]*|\r?\n[ \t]*|\\n)", window)
        start, at = match.start(), len(window)
        for index in range(len(parts) - 1, max(-1, len(parts) - 10), -1):
            at -= len(parts[index])
            part = parts[index].strip()
            if index % 2 or not part:
                continue
            words = part.split()
            if len(words) > 7 or re.search(r"[:;!?@{}\"]|\. ", part):
                found = re.search(
                    r"(?:flat|unit|studio|apt)\s\w+.*$|(?<![\w])[0-9]{1,4}[A-Za-z]?[ ][A-Z].*$|(?<=[:;\"])\s*[A-Z0-9].*$",
                    parts[index],
                    re.I,
                )
                if (
                    found
                    and len(found[0].split()) <= 7
                    and (index > len(parts) - 4 or _UK_PART.search(found[0].strip()))
                ):
                    start = window_start + at + found.start() + len(found[0]) - len(found[0].lstrip())
                break
            if _UK_PART.search(part):
                leads = list(_UK_LEAD.finditer(parts[index]))
                named = [lead for lead in leads if lead[0][0].isalpha()]
                lead = (named or leads)[-1].start() if leads else None
                spare = lead if lead is not None else len(parts[index]) - len(parts[index].lstrip())
                start = window_start + at + spare
            if index == 0:
                break
        if start < match.start():
            yield Found(start, match.end(), Kind.ADDRESS, 0.85)
        elif re.search(
            r"post ?code|zip|address|郵便", text[max(0, match.start() - 24) : match.start()], re.I
        ):
            yield Found(match.start(), match.end(), Kind.ADDRESS, 0.8)
