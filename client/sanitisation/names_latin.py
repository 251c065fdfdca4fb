"""Names of persons in Latin script: what a name is made of, and what is said around it.

Two readings are weighed. From inside: capitals, given names and surnames that people have, against words of the
language. From outside: titles, greetings, signatures, labels, kinship, "my name is". A strong outside needs little
inside (lower case, unknown names); without any outside a name must look like one by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import Latin, latin, public_figures, words

_TOKEN = re.compile(
    r"[A-Za-zÀ-ɏḀ-ỿ](?:[A-Za-zÀ-ɏḀ-ỿ]|['’\-](?=[A-Za-zÀ-ɏḀ-ỿ])(?!(?:s|san|sama|kun|chan|sensei)(?![A-Za-z])))*"
)
_PARTICLES = frozenset(
    [
        "de",
        "da",
        "do",
        "dos",
        "das",
        "del",
        "della",
        "di",
        "du",
        "la",
        "le",
        "van",
        "von",
        "der",
        "den",
        "ter",
        "ten",
        "zu",
        "bin",
        "ibn",
        "al",
        "el",
        "ben",
        "y",
        "e",
        "st",
        "san",
        "mac",
        "mc",
    ]
)
_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "cpa", "dds", "mba"])
_NEVER = frozenset(
    [
        "i",
        "you",
        "he",
        "she",
        "it",
        "we",
        "they",
        "me",
        "him",
        "us",
        "them",
        "my",
        "your",
        "his",
        "her",
        "its",
        "our",
        "their",
        "this",
        "that",
        "these",
        "those",
        "the",
        "a",
        "an",
        "and",
        "or",
        "but",
        "if",
        "so",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "on",
        "to",
        "with",
        "about",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "am",
        "do",
        "does",
        "did",
        "have",
        "has",
        "had",
        "will",
        "would",
        "can",
        "could",
        "should",
        "may",
        "might",
        "must",
        "not",
        "no",
        "yes",
        "ok",
        "okay",
        "hi",
        "hello",
        "hey",
        "dear",
        "thanks",
        "thank",
        "please",
        "sorry",
        "regards",
        "best",
        "mr",
        "mrs",
        "ms",
        "miss",
        "mx",
        "dr",
        "prof",
        "sir",
        "madam",
        "lord",
        "lady",
        "herr",
        "frau",
        "monsieur",
        "madame",
        "mme",
        "señor",
        "señora",
        "sr",
        "sra",
        "don",
        "doña",
        "signor",
        "signora",
        "mlle",
        "rev",
        "fr",
        "captain",
        "sgt",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "what",
        "who",
        "where",
        "when",
        "why",
        "how",
        "which",
        "whose",
        "there",
        "here",
        "now",
        "then",
        "today",
        "tomorrow",
        "yesterday",
        "let",
        "lets",
        "can't",
        "don't",
        "i'm",
        "i've",
        "i'll",
        "it's",
        "that's",
        "what's",
        "he's",
        "she's",
        "we're",
        "you're",
        "they're",
        "english",
        "french",
        "german",
        "spanish",
        "italian",
        "japanese",
        "chinese",
        "korean",
        "american",
        "british",
        "canadian",
        "australian",
        "indian",
        "russian",
        "european",
        "asian",
        "african",
        "christmas",
        "easter",
        "god",
        "internet",
        "email",
        "phone",
        "address",
        "name",
        "street",
        "avenue",
        "road",
        "city",
        "state",
        "country",
        "zip",
        "code",
        "date",
        "time",
        "number",
        "account",
        "order",
        "invoice",
        "total",
        "subject",
        "re",
        "fw",
        "fwd",
        "cc",
        "bcc",
        "to",
        "sent",
        "from",
        "attn",
        "note",
        "todo",
        "company",
        "team",
        "inc",
        "ltd",
        "llc",
        "corp",
        "gmbh",
        "department",
        "office",
        "manager",
        "director",
        "engineer",
        "developer",
        "doctor",
        "nurse",
        "teacher",
        "student",
        "customer",
        "client",
        "patient",
        "employee",
        "user",
        "admin",
        "support",
        "api",
        "url",
        "http",
        "json",
        "xml",
        "html",
        "css",
        "sql",
        "python",
        "java",
        "javascript",
        "linux",
        "windows",
        "mac",
        "google",
        "amazon",
        "apple",
        "microsoft",
        "facebook",
        "twitter",
        "github",
        "netflix",
        "uber",
        "tesla",
        "openai",
        "android",
        "iphone",
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "mit",
        "von",
        "für",
        "ein",
        "eine",
        "ich",
        "sie",
        "wir",
        "ihr",
        "mein",
        "meine",
        "bitte",
        "guten",
        "tag",
        "hallo",
        "liebe",
        "lieber",
        "sehr",
        "geehrte",
        "geehrter",
        "bonjour",
        "merci",
        "je",
        "tu",
        "il",
        "elle",
        "nous",
        "vous",
        "le",
        "la",
        "les",
        "un",
        "une",
        "des",
        "et",
        "est",
        "pas",
        "pour",
        "avec",
        "dans",
        "sur",
        "mon",
        "ma",
        "mes",
        "hola",
        "gracias",
        "por",
        "favor",
        "el",
        "los",
        "las",
        "una",
        "con",
        "para",
        "mi",
        "soy",
        "es",
        "estoy",
        "que",
        "como",
        "donde",
        "cuando",
        "señor",
        "north",
        "south",
        "east",
        "west",
        "central",
        "new",
        "old",
        "great",
        "upper",
        "lower",
        "mount",
        "lake",
        "river",
        "united",
        "saint",
        "san",
        "santa",
        "los",
        "las",
        "el",
        "university",
        "college",
        "school",
        "hospital",
        "bank",
        "church",
        "street",
        "park",
    ]
)
_PLACES = frozenset(
    ["paris", "london", "berlin", "madrid", "rome", "vienna", "austin", "houston", "dallas", "denver", "phoenix", "charlotte", "florence", "sydney", "melbourne", "victoria", "georgia", "virginia", "carolina", "dakota", "jordan", "israel", "china", "india", "chad", "kenya", "savannah", "brooklyn", "madison", "lincoln", "jackson", "cheyenne", "orlando", "jersey", "york", "washington", "boston", "chicago", "seattle", "portland", "oxford", "cambridge", "bristol", "lancaster", "chester", "windsor", "hamilton", "kingston", "alberta", "regina", "tokyo", "osaka", "kyoto", "nagoya", "sapporo", "fukuoka", "kobe", "yokohama", "nara", "nagasaki", "hiroshima", "sendai", "shibuya", "shinjuku", "ginza", "roma", "milan", "siena", "lourdes", "valencia", "cordoba", "santiago", "salvador", "trinidad", "asia", "america", "africa", "europe", "france", "germany", "spain", "italy", "ireland", "scotland", "england", "wales", "holland", "brazil", "cuba", "malta", "cyprus", "troy", "athens", "sparta", "eden", "nevada", "montana", "utah", "texas", "indiana", "arizona", "tennessee", "alaska", "geneva", "zurich", "nancy", "lyon", "nice", "bath", "reading", "derby", "london", "dublin", "cork", "kent", "essex", "york", "devon", "chelsea", "kensington", "hollywood", "malibu", "miami", "tampa", "memphis", "nashville", "dayton", "cleveland", "columbus"]
)  # fmt: skip
_AFTER_NAME = re.compile(
    r"[ \t]{0,2}(?:'s\b|’s\b)?[ \t]{0,2}(?:<|\(|\[)?[ \t]{0,2}(?:mailto:)?[\w.+\-]{1,64}@[\w\-]+\."
)

# What stands before a name and says that one comes: the name may then be lower case or of no lexicon.
_STRONG = re.compile(
    r"(?<![A-Za-z])(?:my (?:full |legal |real |first |last |middle |maiden |user)?name(?:'s| is| was|:)|(?:the )?name(?:'s| is|d| was)|i(?:'|’)?m called|call me|they call me|i go by|known as|named(?: after)?|signed by|(?:prepared|written|submitted|approved|reviewed|requested|reported|filed|sent|issued) by"
    r"|mr\.?|mrs\.?|ms\.?|mx\.?|miss|dr\.?|prof\.?|professor|doctor|nurse|officer|detective|judge|attorney|herr|frau|monsieur|madame|mme\.?|mlle\.?|señora?|sr\.|sra\.|signora?|don|doña|sir|dame|rev\.|pastor|father|sister|sgt\.?|capt\.?|lt\.?|col\.?|dott\.?|ing\."
    r"|ich (?:heiße|heisse|bin)|mein name ist|je m'appelle|je suis|mon nom est|me llamo|mi nombre es|soy|mi chiamo|mijn naam is|sehr geehrter? (?:herr|frau)|lieber?|cher|chère|querid[oa]|estimad[oa]"
    r"|spoke (?:with|to)|talked (?:with|to)|met with|meeting with|interview(?:ed)? with|appointment with|behalf of|c/o|attn:?|attention:?|addressed to|payable to|beneficiary(?: is|:)?|care of|in care of"
    r"|(?:my|our|his|her|their|the|a|ex|an old)[ -](?:\w+ )?(?:wife|husband|son|daughter|brother|sister|mother|father|mom|mum|dad|boss|manager|colleague|co-?worker|friend|neighbou?r|roommate|flatmate|landlord|landlady|tenant|doctor|dentist|therapist|lawyer|boyfriend|girlfriend|partner|fiancée?|cousin|uncle|aunt|nephew|niece|grandmother|grandfather|grandma|grandpa|teacher|client|customer|patient|employee|assistant|supervisor|coach|nanny|accountant|advisor|tutor|classmate|stepson|stepdaughter|mother-in-law|father-in-law|brother-in-law|sister-in-law|intern|applicant|candidate|recruiter|witness|defendant|plaintiff|agent|ceo|cto|cfo|vp|director|lead|hr manager|kid|baby|toddler|twin)s?(?:,| is| was| named| called|'s name is)?)"
    r"[ \t,:]{1,3}[\"'*_]{0,2}$",
    re.I,
)  # fmt: skip
_WEAK = re.compile(
    r"(?:(?<![A-Za-z])(?:i(?:'|’)?m|i am|this is|it(?:'|’)?s|here is|hi|hello|hey|dear|thanks,?|thank you,?|cheers,?|regards,?|best,?|sincerely,?|yours,?|love,?|xoxo,?|with|from|to|by|for|and|contact|email|e-mail|call|called|text|texted|ask|asked|tell|told|remind|invite|cc|ping|message|messaged|meet|met|met with|visit|visiting|hired|fired|promote|thank|owner|author|reviewer|assignee|reporter|signed|sincerely yours|kind regards,?|best regards,?|warm regards,?|respectfully,?|said|between|works? with|dating|married|marry|forward(?:ed)? to|cc'?d|loop in|assign(?:ed)? to|gruß|grüße|cordialement|saludos|atentamente|mfg|vg|lg)"
    r"|[,;:\-–—(\[\"'|>/•·*]|\d[.)])[ \t]{0,3}(?:\r?\n[ \t>]{0,4}){0,2}[\"'*_(]{0,2}$",
    re.I,
)  # fmt: skip
_LABEL = re.compile(
    r"(?<![A-Za-z])(?:(?:full|first|last|given|family|middle|sur|fore|nick|maiden|legal|display|contact|customer|client|patient|employee|student|user|account|card|holder|account ?holder|cardholder|recipient|sender|billing|shipping|guest|passenger|beneficiary|insured|tenant|applicant|candidate|author|owner|manager|emergency|member|subscriber|spouse|parent|guardian|doctor|physician|provider|attendee|participant|payee|payer|buyer|seller|witness|signatory|policyholder|host|driver|teacher|contact)?[ _\-]?name(?:_?(?:first|last|full|kana|kanji|en|ja))?|(?:account|card|policy)[ _\-]?holder|patient|customer|client|employee|recipient|sender|applicant|candidate|contact(?: person)?|emergency contact|beneficiary|cardholder|attendees?|participants?|guest|passenger|tenant|landlord|author|assignee|assigned to|reporter|owner|reviewer|supervisor|manager|physician|doctor|signed|signature|from|to|cc|bcc|attn|ship to|bill to|sold to|deliver to|next of kin|spouse|caller|witness|lead|poc|requester|submitted by|prepared by|nom|prénom|prenom|vorname|nachname|kunde|kundin|patientin|ansprechpartner|empfänger|absender|nombre|apellidos?|cliente|paciente|titular|nome|cognome|naam|kontoinhaber|inhaber|destinataire|titulaire|speaker|instructor|agent|rep|interviewer|interviewee|committer|co-authored-by|signed-off-by|hr|host|organizer|me|student|teacher|mother|father|parent|guardian|son|daughter|child|wife|husband)[\"'`*]{0,3}[ \t]{0,2}(?:=>|[:=|：]|->)[ \t]{0,3}[\"'`*\[]{0,3}$",
    re.I,
)  # fmt: skip
_NAME_FIELD = re.compile(
    r"(?:(?:full|first|last|given|family|middle|sur|legal|maiden|patient|customer|client|employee|student|cardholder|card[ _\-]?holder|account[ _\-]?holder|recipient|sender|contact)[ _\-]?name|vorname|nachname|prénom|apellidos?|cognome)[\"'`*]{0,3}\s{0,2}[:=][ \t]{0,3}[\"'`]{0,2}$",
    re.I,
)
_TITLED = re.compile(
    r"(?<![A-Za-z])(?:mr|mrs|ms|mx|miss|dr|prof|professor|herr|frau|monsieur|madame|mme|mlle|señora?|sra?|signora?|sir|dame)\.?[ \t]{1,2}$",
    re.I,
)
_JAPANESE_TITLE = re.compile(
    r"-?(?:san|sama|kun|chan|sensei|senpai|shi)(?![A-Za-z])|[ ]?(?:さん|様|さま|氏|くん|君|ちゃん|先生|殿)"
)
_TO_SOMEBODY = re.compile(
    r"(?<![a-z])(?:ask|asked|tell|told|call|called|text|texted|email|emailed|message|ping|invite|remind|thank|meet|met|with|from|and|to|for|by|hi|hey|hello|thanks|dear|me and|love|cc|contact)[ ,]{1,2}$",
    re.I,
)
_PERSON_VERB = re.compile(
    r"(?:'s|’s)?[ ](?:said|says|told|asked|asks|called|emailed|texted|wrote|works?|worked|lives?|lived|moved|wants?|needs?|thinks?|is (?:my|a|an|our|the|in|at|on|from|not|going|coming|out|sick|late|leaving|\d+)|was (?:born|my|hired|fired|admitted|diagnosed|prescribed|late|here)|has (?:a|been|an|not)|born|will|can|could|would|has|had|joined|left|quit|died|married|and (?:i|my|her|his)|just|recently|complained|reported|reached|responded|replied|mentioned|submitted|approved|signed|agreed|paid|owes|visited|attended|graduated|lost|forgot|keeps?|never|always|doesn't|didn't|isn't|wasn't|won't|can't|at \d|phone|email|cell|mobile|address|salary|password|account|dob|ssn|birthday)(?![a-z])",
    re.I,
)
_POSSESSION = re.compile(
    r"(?:'s|’s)[ ](?:\w+ )?(?:phone|email|e-mail|number|address|birthday|house|account|salary|password|passport|ssn|wife|husband|son|daughter|mother|father|laptop|car|contract|resume|cv|file|record|results?|diagnosis|calendar|team|manager|desk|office|review|order|case|data|info\w*|details|name|dob|home|apartment|job|schedule|medical|insurance|bank|card|credit)",
    re.I,
)


def latin_names(text: str) -> Iterator[Found]:
    """Persons in a reading of the text."""
    lexicon, common = latin(), words()
    tokens = list(_TOKEN.finditer(text))
    at = 0
    while at < len(tokens):
        if not _may_start(tokens[at][0], lexicon, common):
            at += 1
            continue
        run = _run(text, tokens, at)
        best = _best(text, tokens, at, run, lexicon, common)
        if best is None:
            at += 1
            continue
        size, certainty = best
        start, end = tokens[at].start(), tokens[at + size - 1].end()
        if tokens[at + size - 1][0].lower() in _SUFFIXES | {"jr", "sr"} and text[end : end + 1] == ".":
            end += 1
        yield Found(start, end, Kind.PERSON, certainty)
        at += size


_AND = re.compile(r"[ ]?(?:,|&|and|und|et|y|/|\+)[ ]{0,2}(?:and )?$|,[ ]$")


def together(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """Given names that stand beside a found person (`Mark and Priya`): what is ambiguous alone is not there."""
    lexicon = latin()
    spans = {f.start: f for f in found} | {f.end: f for f in found}
    for token in _TOKEN.finditer(text):
        low = token[0].lower()
        if not token[0][0].isupper() or low not in lexicon.given or low in _NEVER:
            continue
        after = re.match(
            r"[ ]?(?:,|&|and|und|et|y|/|\+)[ ]{0,2}(?:and )?", text[token.end() : token.end() + 8]
        )
        before = _AND.search(text[max(0, token.start() - 8) : token.start()])
        if (
            after
            and token.end() + after.end() in spans
            and spans[token.end() + after.end()].start == token.end() + after.end()
        ) or (
            before
            and token.start() - len(before[0]) in spans
            and spans[token.start() - len(before[0])].end == token.start() - len(before[0])
        ):
            yield Found(*token.span(), Kind.PERSON, 0.58)


def _may_start(token: str, lexicon: Latin, common: frozenset[str]) -> bool:
    low = token.lower()
    if low in _NEVER:
        return False
    return token[0].isupper() or low in lexicon.given or low in lexicon.rank or low not in common


def _run(text: str, tokens: Sequence[re.Match[str]], at: int) -> int:
    """How many tokens from `at` stand together as a name could: single spaces, initials' dots, particles."""
    size = 1
    upper = tokens[at][0][0].isupper()
    while at + size < len(tokens) and size < 6:
        before, here = tokens[at + size - 1], tokens[at + size]
        gap = text[before.end() : here.start()]
        initial = len(before[0]) == 1 or before[0].lower() in _PARTICLES | {"st"}
        if not (
            gap in (" ", "  ", "\u3000")
            or (gap in (". ", ".") and initial)
            or (gap == ", " and here[0].lower() in _SUFFIXES)
        ):
            break
        if upper and not here[0][0].isupper() and here[0].lower() not in _PARTICLES:
            break
        size += 1
    while (
        size > 1
        and tokens[at + size - 1][0].lower() in _PARTICLES
        and not tokens[at + size - 1][0][0].isupper()
    ):
        size -= 1
    return size


def _best(
    text: str, tokens: Sequence[re.Match[str]], at: int, run: int, lexicon: Latin, common: frozenset[str]
) -> tuple[int, float] | None:
    """The longest prefix of the run that is a person, with its certainty."""
    start = tokens[at].start()
    context = text[max(0, start - 60) : start]
    label = _LABEL.search(context) is not None
    strong = label or _STRONG.search(context) is not None
    weak = strong or not context.strip() or context.endswith("\n") or _WEAK.search(context) is not None
    titled = _TITLED.search(context) is not None
    full, single = public_figures()
    for size in range(min(run, 5), 0, -1):
        parts = [t[0] for t in tokens[at : at + size]]
        end = tokens[at + size - 1].end()
        lows = [p.lower() for p in parts]
        plain = " ".join(lows)
        if size > 1 and (plain in full or plain.replace(".", "") in full):
            return None if not strong or titled else (size, 0.5)
        if any(
            low in _NEVER
            and not (low in ("st", "san", "santa", "may", "june", "april", "august") and size > 1)
            for low in lows
        ):
            continue
        score = _score(
            parts,
            lows,
            text,
            start,
            end,
            lexicon,
            common,
            strong=strong,
            weak=weak,
            label=label,
            titled=titled,
            single=single,
        )
        if score >= 0.5:
            return size, min(0.83, 0.45 + score / 4)
    return None


def _score(
    parts: Sequence[str], lows: Sequence[str], text: str, start: int, end: int, lexicon: Latin, common: frozenset[str],
    *, strong: bool, weak: bool, label: bool, titled: bool, single: frozenset[str],
) -> float:  # fmt: skip
    """Evidence that exactly these parts name a person; half and more says so."""
    core = [
        (p, low)
        for p, low in zip(parts, lows)
        if low not in _PARTICLES and low not in _SUFFIXES and len(low) > 1
    ]
    if not core:
        return 0.0
    capital = all(p[0].isupper() for p, _ in core)
    given = [_is(low, lexicon.given) for _, low in core]
    surname = [_rank(low, lexicon) for _, low in core]
    word = [
        low in common or low.rstrip("s") in common or (low.endswith("ing") and low[:-3] in common)
        for _, low in core
    ]
    tail = text[end : end + 40]
    honoured = _JAPANESE_TITLE.match(tail) is not None
    mailed = _AFTER_NAME.match(tail) is not None
    if re.match(
        r"[ ](?:Inc|Ltd|LLC|Corp|GmbH|Co\.|Company|University|College|Street|St\.|Avenue|Ave|Road|Hospital|School|Bank|Airport|Park|Prize|Award|Stadium|Foundation|Institute|theorem|algorithm|equation|distribution|Island|Bay|County|Hotel|Museum|Series|Group|Center|Centre)\b",
        tail,
    ):
        return 0.0
    if (re.match(r"[(\[_/\\=]|\.[A-Za-z(]|::", tail) and not mailed) or (
        start and text[start - 1] in "._/\\#$@&%-"
    ):
        return 0.0
    if len(core) == 1:
        return _single(
            core[0],
            given[0],
            surname[0],
            word[0],
            capital,
            tail,
            text,
            start,
            strong,
            weak,
            label,
            titled,
            honoured,
            mailed,
            single,
        )
    score = 0.0
    first_word, last_word = word[0], word[-1]
    if given[0] and surname[-1] is not None:
        score += 0.75 if not (first_word and last_word) else 0.3
        if not capital and (first_word or last_word):
            score -= 0.35 if first_word and last_word else 0.2
        elif not capital:
            score -= 0.1
    elif given[-1] and surname[0] is not None and len(core) == 2:
        score += 0.6 if not (first_word or last_word) else 0.2
        if not capital:
            score -= 0.2
    elif given[0] and not last_word:
        score += 0.6 if capital and not first_word else 0.3 if capital else 0.05
    elif surname[-1] is not None and not last_word and not first_word:
        score += (0.55 if capital and surname[-1] < 20000 else 0.3) if capital else 0.0
    elif surname[-1] is not None and not first_word and capital:
        score += 0.3
    elif not first_word and not last_word and capital:
        score += 0.2
    elif all(word):
        score -= 0.4
    if (
        sum(word)
        and len(core) > 2
        and any(w and not g and s is None for w, g, s in zip(word, given, surname))
    ):
        score -= 0.5
    if not capital and any(w and not g and s is None for w, g, s in zip(word, given, surname)):
        score -= 0.6
    if strong:
        score += 0.45
    elif weak:
        score += 0.1
    if honoured or mailed:
        score += 0.5
    if capital and (_PERSON_VERB.match(tail) or _POSSESSION.match(tail)):
        score += 0.2
    if any(low in _PLACES for _, low in core) and not strong:
        score -= 0.15
    return score


def _single(
    core: tuple[str, str], given: bool, rank: int | None, word: bool, capital: bool, tail: str, text: str, start: int,
    strong: bool, weak: bool, label: bool, titled: bool, honoured: bool, mailed: bool, single: frozenset[str],
) -> float:  # fmt: skip
    part, low = core
    if (
        part.isupper()
        and len(part) > 1
        and not (label or titled or honoured)
        and not text[max(0, start - 40) : start].isupper()
    ):
        return 0.0
    famous = low in single or low in _PLACES
    if (
        capital
        and not strong
        and re.search(
            r"\b(?:Mount|Mt\.?|Lake|San|Santa|Saint|St\.?|Los|Las|El|La|New|Fort|Port|North|South|East|West|Cape|River|Camp|Visual|Apache|Amazon|Google|Microsoft|Apple|Adobe|Oracle|Team|Project|Operation|Hurricane|Storm)[ ]$",
            text[max(0, start - 12) : start],
        )
    ):
        return 0.0
    score = 0.0
    if capital:
        if given:
            score += 0.3 if word or famous else 0.5
        elif rank is not None and not word:
            score += 0.25 if rank < 3000 else 0.1
        elif word:
            score -= 0.2 if not titled else 0.0
        if famous:
            score -= 0.25
    else:
        score += (
            0.15 if given and not word else 0.05 if given or (rank is not None and not word) else -0.1
        ) - (0.3 if word else 0.0)
        if len(low) < 3:
            score -= 0.3
    if titled and (capital or not word):
        score += 0.6
    elif label:
        field = _NAME_FIELD.search(text[max(0, start - 40) : start]) is not None
        score += 0.65 if field else 0.5 if (capital or given) and not (word and not given) else 0.2
    elif strong:
        score += 0.45 if capital or given else 0.2 if not word else 0.0
    elif weak and capital and (given or rank is not None):
        score += 0.15 if given else 0.05
    elif (
        given
        and not word
        and not famous
        and len(low) > 3
        and _TO_SOMEBODY.search(text, max(0, start - 24), start)
    ):
        score += 0.4
    if honoured:
        score += 0.6 if not word or given or rank is not None else 0.2
    if mailed:
        score += 0.3
    if capital and (_PERSON_VERB.match(tail) or _POSSESSION.match(tail)):
        score += 0.3 if given else 0.15 if rank is not None and not word else 0.0
    return score


def _is(low: str, names: frozenset[str]) -> bool:
    return (
        low in names
        or ("-" in low and all(p in names for p in low.split("-")))
        or (low.endswith(("'s", "’s")) and low[:-2] in names)
    )


def _rank(low: str, lexicon: Latin) -> int | None:
    plain = low.replace("'", "").replace("’", "")
    if plain in lexicon.rank:
        return lexicon.rank[plain]
    if "-" in plain:
        ranks = [lexicon.rank.get(p) for p in plain.split("-")]
        return max(r for r in ranks if r is not None) if any(r is not None for r in ranks) else None
    return None
