"""Where in a sentence only a person stands: whom one thanks and asks, who owes and says, who shares a bill.

What stands there may be two ordinary words (`Thank Will Grant`), of no list, or without capitals. Whether a text
is about programs is told by the words of that trade; there commands address programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import latin, public_figures
from renga.client.sanitisation.names_inside import (
    FOREIGN,
    NEVER,
    PARTICLES,
    PLACES,
    SELDOM,
    is_name,
    is_word,
    rank_of,
)
from renga.client.sanitisation.scanning import Scanned, matches

VERBS_TOO = frozenset({"will", "may", "art", "sue", "pat", "april", "june", "august", "rob", "mark", "bill"})
"""Given names that a sentence may take for a verb, an auxiliary or a month."""


_FIRM = Scanned(
    r"(?<![A-Za-zÀ-ɏ'’\-])(?:hi|hiya|hey|yo|hello|thanks|thx|ty|congrats|dear|(?:the )?(?:kids|twins|children|boys|girls|sons|daughters|neighbou?rs|friends|roommates|flatmates|colleagues|cousins|siblings|tenants|students|interns),?|(?:hi|hello|thanks|congrats|apologi[sz]ed?|spoke|speak|talk(?:ed|ing)?|lied|married|engaged|listen|complain(?:ed)?|crush on|sorry) to|(?:argued?|argument|fought|lunch|dinner|coffee|drinks|breakfast|brunch|friends|meeting|call|date|flat ?share|broke up|hang(?:ing)? out|hung out|catch up|caught up|flirting|going out|sleeping|moving in|off the phone|get(?:ting)? along) with|(?:heard|voicemail|borrowed (?:\w{1,15} ){1,3}|raised|call|visit|quote|message|note|feedback|reply|text|letter|gift|invite|invitation|complaint) (?:from|by)|(?:text|letter|message|e-?mail|card|note|dm|apology|poem|toast|present|gift|refund) (?:to|for)|(?:explain|wave|sing|belongs?|reply|respond|loyal|attracted) to|(?:look|looking|looked) after|take care of|babysit(?:ting)?|worried about|proud of|afraid of|tired of|in front of|(?:patient|customer|client|guest|full|employee|tenant) name|(?:guy|girl|man|woman|lady|colleague|hire|neighbou?r|boss|kid|dude|bloke|coach|teacher|trainer|tutor|therapist|landlord|landlady|doctor|dentist|nurse|plumber|mechanic|electrician|cleaner|driver|intern|manager|lawyer|barber|lodger|flatmate|roommate|friend|cousin|uncle|aunt|brother|sister|husband|wife|son|daughter|partner|ex),|crush on|bumped into|ran into|in love with|jealous of|dreamt about|(?:passenger|guest|travell?er|speaker|player|applicant|tenant|participant|adult|child|contact|person|witness|attendee) ?#?[0-9]{1,3} ?[:(=\-]"
    r"|asks?|asked|asking|tells?|told|telling|reminds?|reminded|thank|thanked|congratulate|notify|warn(?:ed)?|invited?|introduce|convince|persuaded?|beg(?:ged)?|forgive|blamed?|owed?|lent|text(?:ed|ing)?|phoned?|ring|rang|call(?:ed|ing)?|e-?mail(?:ed)?|messaged?|ping(?:ed)?|dm(?:ed)?|cc|bcc|attn:?|attention:?|w/|w|me (?:&|and|n)|my (?:friend|bro|mate|roomie|homie|bff)|nominate|sue|evict|write up|(?:pick|picked|picking) up|(?:drop|dropped|dropping) off|complaint about|hired?|fired|sacked|dumped|ghosted|married|marry|divorced?|dating|kissed|hugged|met|meet|meeting|seeing|visiting|interviewing|hosting|marrying|nudge|pester|forward (?:this|that|it) to|fwd (?:this |that |it )?to"
    r"|frag(?:e|t|te)?|sag(?:t|te)?|erinner(?:e|t|te)?|grüß(?:e|t)?|gratulier(?:e|t|te)?|dank(?:e|t|te)?|hallo|im (?:auftrag|namen) von|ruf(?:e)?|(?:treff(?:e)?(?: mich)?|gesprochen|verabredet|telefoniert|hab(?:e)?) mit"
    r"|(?:demande|dis|rappelle|écris|téléphone|réponds|parlé?|explique|prêté?) à|remercie|félicite|préviens|bonjour|salut|j'ai (?:vu|croisé|rencontré|appelé)|(?:de la part|au nom) de|(?:rdv|rendez-vous|parlé|dîner|déjeuner|dîné) avec"
    r"|(?:dile|pregúntale|recuérdale|llama|escribe|escríbele|avisa|felicita|conocí|pídele|cuéntale|visto|vi) a|hola|gracias,?|(?:quedé|quedado|hablé|quedamos|encontré|cené|salgo|salí|comí) con)[ ]{1,2}[\"'“*_]{0,2}",
    re.I,
)
"""Before a person, or a firm; what one does with persons rather than with things."""
_HANDS = Scanned(
    r"(?<![A-Za-z])(?:giv(?:e|ing)|gave|lend|lent|sen[dt]|sending|show(?:ed)?|bring|brought|b(?:uy|ought)|got|get|owed?|pay|paid|teach|taught|hand(?:ed)?|promised|wish|pass|feed|drop|pick|let|help|make|write|read|sing|cook|bake|sell|schreib(?:e|t)?|gib|schick(?:e)?|hilf|leih(?:e)?|envoie|donne|prête|offre)[ ]{1,2}",
    re.I,
)
_THING = re.compile(
    r"[ ](?:the|an?|my|our|his|her|your|some|this|that|these|those|back|up|off|in|[0-9$€£]\w*|money|cash|eine?[nmr]?|das|die|den|dem|une?|des|mon|ma|una|mi)(?![a-z])|[ ]know(?![a-z])"
)
_LOOSE = Scanned(
    r"(?<![A-Za-zÀ-ɏ'’\-])(?:did|does|do|is|was|has|had|what|who|how|cause|bc|cuz|even|like|said|says|thinks?|heard|hope|wonder|told me|should|would|could|can|must|will|when|if|before|after|unless|until|because|since|why|whether|that|but|or|and|than|so|then|without|between|by|for|from|with|to|about|let|make|help|have|watch|give|gave|bring|send|sent|hand|lend|pay|paid|show|showed|pass|buy|bought|teach|promised|pick|wish|saw|seen|know|knew|recommend|assign|add|put|selon|según|reads|(?:photo|picture|portrait|biography|death|funeral|arrest|house|flat|wife|mother|father|son|daughter|friend|help|signature|memory|opinion|care) of|president|secretary|treasurer|inspector|clerk|editor|principal|headmaster|curator|organi[sz]er|mentor|referee|user|member|cashier|c'est|avec|pour|chez|con|para|mit|von|für|bei|dass|ob|hat|habe|hab|haben|und|laut|invite|appelle)[ ]{1,2}[\"'“*_]{0,2}",
    re.I,
)
"""Before a person as well as before a thing."""
ACTS = re.compile(
    r"(?:'s|’s)?[ ](?:(?:just|always|never|still|also|has|had|have|already|yesterday|totally|really|actually|probably)[ ]){0,2}(?:owes?|owed|promised|quit|resigned|lent|borrowed|told|said|says|thinks|believes|wants|refuses|refused|complain(?:s|ed)|alleges|walks?[ ]in|walked[ ](?:in|out)|goes(?=[ ][\"“])|hates|loves|yelled|sued|cried|apologi[sz]ed|invited|asked|texts|texted|emailed|wrote|phoned|replied|agreed|forgot|snores|gossips|flirts|drinks[ ]too|retired|moved[ ](?:in|out|to)|married|divorced|graduated|died|dies|passed[ ]away|promises|lied|lies[ ]to|eats[ ]my|helped|hurt|insulted|interrupts|ignores?"
    r"|keeps?[ ]\w+ing|(?:never|always|ever|not|still|even)[ ](?:repl(?:y|ies)|calls?|answers?|texts?|pays?|listens?|shows?[ ]up|tells?|says?|asks?|comes?|helps?)|(?:won't|won’t|wouldn't|hasn't|hasn’t|didn't|didn’t|doesn't|refuses[ ]to|forgot[ ]to|agreed[ ]to|promised[ ]to)[ ](?:stop|pay|paid|answer|reply|replied|call|called|come|fix|help|let|show|sign|signed|tell|want|know|like|listen|say|text|give|speak|talk)"
    r"|(?:is|was|are|were)[ ](?:coming|cheating|moving|leaving|getting[ ]married|pregnant|engaged|allowed[ ]to|late|mad|angry|upset|sick|ill|retiring|on[ ]leave|off[ ]sick|dating|seeing|lying|running[ ]late|crying|hosting|invited|admitted|hired|fired)"
    r"|will[ ](?:see[ ]you|pick|come|join|bring|be[ ](?:late|joining|there|here))|(?:and|&)[ ](?:i|me|myself|my)(?![a-z])|(?:requested|reported|submitted|ordered|returned|applied|signed[ ]up|logged[ ]in|called[ ]in)(?![a-z])|(?:sign|know|tell|say|call|come|reply|leave|mind|agree|want|allow|pay)[ ](?:the|that|about|me|us|my|it|to|if|back|on|over|with|a)"
    r"|me[ ](?:doit|debe|prêt|prest|ment|miente)|m'a[ ]|schuldet|hat[ ](?:mir|mich|gekündigt|uns|meine?)|(?:a|ha)[ ](?:démissionné|dimitido|dejado)|firmó|dijo|renunció)(?![a-zà-ɏ])",
    re.I,
)
"""What only a person does; behind the name."""
SPOKEN_TO = re.compile(
    r",[ ](?:you(?:'re|’re|'ve|r)?|could you|can you|would you|please|pls|thank|thanks|i(?:'m| am) sorry|sorry|i can't|it(?:'s|’s) been|are you|do you|did you|how are)(?![a-z])",
    re.I,
)
_IS_WHO = re.compile(
    r",[ ](?:(?:an?|the|my|our|his|her|their|your|head|former|deputy|vice|retired|chief)[ ]){0,2}(?:\w{3,12}[ ])?(?:teacher|vicar|nurse|doctor|lawyer|manager|director|president|secretary|treasurer|chair(?:man|woman)?|engineer|plumber|gardener|tenant|landlord|neighbou?r|colleague|friend|cousin|uncle|aunt|brother|sister|wife|husband|boss|accountant|dentist|coach|baker|farmer|student|intern|beekeeper|cook|chef|driver|pastor|priest|widow|widower|grandmother|grandfather|mother|father|daughter|son|locataire|voisine?|inquilin[oa]|vecin[oa])(?![a-z])",
    re.I,
)
_SHE = re.compile(r"[,;][ ](?:s?he|shes|she's|he's)(?![a-z])")
_AGED = re.compile(r",[ ](?:aged?[ ])?[0-9]{1,2}(?:,|[ ](?:years|yo|ans|años|Jahre))|[ ]\([0-9]{2}\)")
_TRADE = re.compile(
    r"(?<![a-z])(?:api|servers?|docker|git|python|javascript|typescript|functions?|methods?|install|errors?|exceptions?|librar(?:y|ies)|framework|databases?|sql|regex|scripts?|deploy|clusters?|kernel|linux|npm|pip|css|html|compiler|code|variables?|packages?|modules?|cli|plugins?|repo|commit|build|pipeline|tests?|config|localhost|json|yaml|http|pods?|algorithm)(?![a-z])",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where in one text a person would stand: the ends of what announces one firmly, of what hands somebody
    something, of what stands before persons and things; and what of the firm is no name, from first to last."""

    firm: frozenset[int]
    hands: frozenset[int]
    loose: frozenset[int]
    verbs: dict[int, int]
    trade: bool
    """Does it speak of programs?"""

    @classmethod
    def in_text(cls, text: str) -> Places:
        firm = [m.span() for m in matches(_FIRM, text)]
        hands, loose = (list(matches(p, text)) for p in (_HANDS, _LOOSE))
        trade = _TRADE.search(text[:4000]) is not None
        verbs = {
            m.start(): m.end()
            for m in loose
            if m[0][0].isupper() and not is_name(m[0].strip().lower(), latin().given)
        }
        given, before = (frozenset(m.end() for m in found) for found in (hands, loose))
        return cls(frozenset(end for _, end in firm), given, before, verbs | dict(firm), trade)


def handed(text: str, end: int) -> bool:
    """Does what is handed over follow the name that ends there?"""
    return _THING.match(text, end) is not None


def acts(text: str, end: int) -> bool:
    """Is something said behind the name that ends there that is said of persons only?"""
    return (
        _SHE.match(text, end) is not None
        or ACTS.match(text, end) is not None
        or _IS_WHO.match(text, end) is not None
        or SPOKEN_TO.match(text, end) is not None
        or _AGED.match(text, end) is not None
    )


_SHARE = Scanned(
    r"(?<![A-Za-zÀ-ɏ'’\-])([A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20}(?:[ ][A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20})?)(?::|[ ](?:paid|owes|gets|got|pays|had|took|takes|works?|brings?))?[ ](?:[$€£]?[0-9]|nothing(?![a-z])|half(?![a-z]))"
)
_TASK = Scanned(
    r"(?:(?<=[,;\-–•*] )|(?<=^))([A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’\-]{2,20}(?:[ ][A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20})?)(?::[ ]|[ ]to[ ])(?=[a-z])",
    re.M,
)


_SPLIT = re.compile(
    r"(?<![a-z])(?:me [0-9]|owes?|split(?:ting)?|days? sick|rota|roster|seating|carpool|shifts?|sick leave)(?![a-z])",
    re.I,
)


def sharers(text: str) -> Iterator[Found]:
    """Who shares or has tasks (`Ada 20, Renske 35`; `ada: book it, renske: pay`): all of them, where one has a
    given name that is no word."""
    for pattern in (_SHARE, _TASK):
        shares = [
            m for m in matches(pattern, text) if not set(m[1].lower().split()) & (NEVER | PLACES | FOREIGN)
        ]
        shares = [m for m in shares if not is_word(m[1].partition(" ")[0].lower())]
        if len({m[1] for m in shares}) > 1 and (
            any(is_name(m[1].partition(" ")[0].lower(), latin().given) for m in shares) or _SPLIT.search(text)
        ):
            for match in shares:
                if match[1].lower() not in public_figures()[1] and not match[1].isupper():
                    yield Found(*match.span(1), Kind.PERSON, 0.58)


_ROW = Scanned(
    r"(?<![A-Za-zÀ-ɏ'’\-])[A-ZÀ-Þ][a-zß-ɏ'’\-]{1,20}(?:,[ ][A-ZÀ-Þ][a-zß-ɏ'’\-]{1,20}){1,12}(?:,?[ ](?:and|&|or)[ ][A-ZÀ-Þ][a-zß-ɏ'’\-]{1,20})?(?![A-Za-zÀ-ɏ'’])(?![ ][A-Z])"
)


def rows(text: str) -> Iterator[Found]:
    """Who stands in a row (`rota: Ada, Renske, Joy`) of which no one is a place's or a public name: all of them,
    where two have given names, or one and the text shares something out."""
    given, taken = latin().given, public_figures()[1]
    for row in matches(_ROW, text):
        items = [m for m in re.finditer(r"[^\s,&]+", row[0]) if m[0] not in ("and", "or")]
        lows = [m[0].lower() for m in items]
        if any(low in NEVER or low in PLACES or low in taken or low in SELDOM for low in lows):
            continue
        sure = sum(is_name(low, given) and not is_word(low) for low in lows)
        unsure = sum(is_word(low) and not is_name(low, given) for low in lows)
        shared = _SPLIT.search(text) is not None and any(is_name(low, given) for low in lows)
        if not unsure and len(items) > 2 and ((2 * sure > len(items) and sure > 1) or shared):
            for one in items:
                yield Found(row.start() + one.start(), row.start() + one.end(), Kind.PERSON, 0.57)


_FIELD = Scanned(
    r"(?:^|(?<=[\n,;{|(<\[ \t]))[\"'<]?(?:(?:full|customer|patient|client|employee|guest|tenant|contact|display|holder|owner|student|member|recipient|sender|account)[ _]?)?name[\"'>]?[ ]?[:=>][ ]?[\"']?([A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’.\-]{1,20}(?:[ ][A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’.\-]{0,20}){1,3})[ ]?(?=[\"',;\n|<)}\]]|$|[ ](?:->|[\-–—]|dob|age))",
    re.I,
)


def fields(text: str) -> Iterator[Found]:
    """Whole values of a field for a name, in any letters: `name: mai le van; ward: 3`."""
    lexicon = latin()
    for match in matches(_FIELD, text):
        lows = [low.strip(".") for low in match[1].lower().split()]
        words = [
            low
            for low in lows
            if is_word(low)
            and not is_name(low, lexicon.given)
            and low not in PARTICLES
            and (rank_of(low, lexicon) or 9999) > 5000
        ]
        known = is_name(lows[0], lexicon.given) or rank_of(lows[-1], lexicon) is not None
        if (known and 2 * len(words) < len(lows)) or not words:
            if match[1].lower() not in public_figures()[0]:
                yield Found(*match.span(1), Kind.PERSON, 0.75)
