"""Names of persons in Latin script: what a name is made of, and what is said around it.

Two readings are weighed. From inside: capitals, given names and surnames that people have, against words of the
language. From outside: titles, greetings, signatures, labels, kinship, "my name is". A strong outside needs little
inside (lower case, unknown names); without any outside a name must look like one by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from unicodedata import combining, normalize

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import Latin, latin, listed, public_figures, words
from renga.client.sanitisation.scanning import matches

_TOKEN = re.compile(
    r"[A-Za-zÀ-ɏḀ-ỿ](?:[A-Za-zÀ-ɏḀ-ỿ]|['’\-](?=[A-Za-zÀ-ɏḀ-ỿ])(?!(?:s|san|sama|kun|chan|sensei)(?![A-Za-z])))*"
)
_PARTICLES = listed("particles")
_SUFFIXES = listed("suffixes")
_NEVER = listed("never a name")
_PLACES = listed("places")
_NEVER_ALONE = frozenset(
    {
        "park",
        "lake",
        "church",
        "bank",
        "street",
        "hill",
        "may",
        "west",
        "north",
        "day",
        "long",
        "rivers",
        "summer",
        "rose",
    }
)
_TEXTBOOK = {"alice", "bob"}
"""Who exchange keys and apples; both together, where nothing is said of oneself, are nobody."""
_MONTH_NAMES = frozenset({"april", "may", "june", "august"})
_NAMES_FIRST = listed("names that are words")
_FOREIGN = listed("words of other languages")
_AFTER_NAME = re.compile(
    r"[ \t]{0,2}(?:'s\b|’s\b)?[ \t]{0,2}(?:\([^()\n@]{2,40}\)[ ])?(?:<|\(|\[)?[ \t]{0,2}(?:mailto:)?[\w.+\-]{1,64}@[\w\-]+\."
)

# What stands before a name and says that one comes: the name may then be lower case or of no lexicon.
_STRONG = re.compile(
    r"(?<![A-Za-z])(?:my (?:full |legal |real |first |last |middle |maiden |user)?name(?:'s| is| was|:)|(?:the )?name(?: on (?:the |my )?(?:card|account|file|passport|ticket|reservation))?(?:'s| is|d| was|:)|i(?:'|’)?m called|call me|they call me|i go by|known as|named(?: after)?|signed by|(?:prepared|submitted|approved|reviewed|requested|reported|filed|sent|issued) by"
    r"|mr\.?|mrs\.?|ms\.?|mx\.?|miss|dr\.?|prof\.?|professor|doctor|nurse|officer|detective|judge|attorney|herr|frau|monsieur|madame|mme\.?|mlle\.?|señora?|sr\.|sra\.|signora?|don|doña|sir|dame|rev\.|pastor|father|sister|sgt\.?|capt\.?|lt\.?|col\.?|dott\.?|ing\."
    r"|ich (?:heiße|heisse|bin)|mein name ist|je m'appelle|je suis|mon nom est|me llamo|mi nombre es|soy|mi chiamo|mijn naam is|sehr geehrter? (?:herr|frau)|lieber?|cher|chère|querid[oa]|estimad[oa]"
    r"|spoke (?:with|to)|talked (?:with|to)|met with|meeting with|interview(?:ed)? with|appointment with|behalf of|c/o|attn:?|attention:?|addressed to|payable to|beneficiary(?: is|:)?|care of|in care of"
    r"|(?:spoke|talked|met|call|chat) w/|belongs to|gehört|gehoert|pertenece a|appartient à|(?:titular|propietari[oa]|dueñ[oa]|inhaber(?:in)?|account holder|cardholder|titulaire)[^.\n?!:]{0,50}? (?:es|ist|est|is)"
    r"|(?:m(?:a|on)|notre|votre|s(?:a|on)|t(?:a|on)) (?:\w+ )?(?:s(?:oe|œ)ur|frère|mère|père|maman|papa|femme|mari|épou(?:x|se)|fille|fils|amie?|collègue|patronn?e?|cheffe?|voisine?|copain|copine|cousine?|oncle|tante|médecin|dentiste|avocate?|propriétaire|locataire|associée?|compagne|compagnon)"
    r"|(?:mis?|nuestr[oa]|su|tu) (?:\w+ )?(?:herman[oa]|madre|padre|mujer|marido|espos[oa]|hij[oa]|amig[oa]|jef[ea]|vecin[oa]|compañer[oa]|novi[oa]|prim[oa]|t[íi][oa]|abuel[oa]|médic[oa]|dentista|abogad[oa]|caser[oa]|clienta?|soci[oa])"
    r"|(?:mein|unser|sein|ihr|dein)(?:e[mnrs]?)? (?:\w+ )?(?:schwester|bruder|mutter|vater|frau|mann|tochter|sohn|freund(?:in)?|kolleg(?:en?|in)|chef(?:in)?|nachbar[ns]?(?:in)?|cousine?|onkel|tante|oma|opa|arzt|ärztin|anwalt|anwältin|vermieter(?:in)?|mieter(?:in)?|partner(?:in)?|mitbewohner(?:in)?|kunde|kundin)"
    r"|(?:mi[ao]|il mio|la mia|mijn|meu|minha) (?:sorella|fratello|madre|padre|moglie|marito|figli[oa]|amic[oa]|collega|capo|vicin[oa]|zus|broer|moeder|vader|vrouw|man|dochter|zoon|vriend(?:in)?|baas|irm[ãa]o?|mãe|pai|marido|esposa|filh[oa]|amig[oa]|chefe)"
    r"|(?:my|our|his|her|their|your|ex)[ -](?:\w+ )?(?:wife|husband|son|daughter|brother|sister|mother|father|mom|mum|dad|boss|manager|colleague|co-?worker|friend|neighbou?r|roommate|flatmate|landlord|landlady|tenant|doctor|dentist|therapist|lawyer|boyfriend|girlfriend|gf|bf|bff|bestie|hubby|wifey|fiance|fiancee|ex|mate|buddy|partner|fiancée?|cousin|uncle|aunt|nephew|niece|grandmother|grandfather|grandma|grandpa|teacher|client|customer|patient|employee|assistant|supervisor|coach|nanny|accountant|advisor|tutor|classmate|stepson|stepdaughter|mother-in-law|father-in-law|brother-in-law|sister-in-law|intern|applicant|candidate|recruiter|witness|defendant|plaintiff|agent|ceo|cto|cfo|vp|director|lead|hr manager|kid|baby|toddler|twin)s?(?:,| is| was| named| called|'s name is)?)"
    r"[ \t,:]{1,3}[\"'*_]{0,2}",
    re.I,
)  # fmt: skip
_INTRODUCED = re.compile(
    r"(?:name(?:'s| is| was)|named|called|je m'appelle|me llamo|mi nombre es|ich hei(?:ß|ss)e|mi chiamo|mein name ist|ich bin)[ \t:,]{1,3}$",
    re.I,
)
_ROLE = re.compile(
    r"(?<![A-Za-z])(?:(?:book|booked|reserved?|reservation|booking|table|appointment)(?: \w+)? (?:under|for)(?: the name(?: of)?)?|witness|defendant|plaintiff|attendees?|participants?|applicants?|patients?|tenant|landlord|employees?|students?|victim|suspect|colleagues?|coworkers?|manager|supervisor|pt\.?|patientin|kunde|kundin|mandant|mandantin|versicherter?|cleaner|babysitter|nanny|gardener|plumber|candidates?|caller|resident|borrower|insured|claimant|buyer|seller|driver|owner|guests?|bride|groom|author(?:ed by)?|authori[sz]e|appoint|nominate|on behalf of|engineer|nurse|teacher|professor|lawyer|attorney|therapist|accountant|neighbou?r|roommate|friends?|cousin|uncle|aunt|grandma|grandpa)[,:]?[ ]{1,2}[\"'*_]{0,2}",
    re.I,
)
_GREETING = re.compile(
    r"(?<![A-Za-z])(?:i(?:'|’)?m|i am|this is|it(?:'|’)?s|it was|here is|hi|hiya|hello|hey|dear|morning|good (?:morning|afternoon|evening)|thanks|thank you|cheers|regards|best|best wishes|yours|yours truly|love|xoxo|kind regards|best regards|warm regards|warmly|respectfully|sincerely|take care|congrats|congratulations|sorry|happy birthday|liebe|lieber|hallo|salut|hola|querid[oa]|ciao|gruß|grüße|grüßen|gruss|grüsse|cordialement|saludos?|abrazos?|besos|atentamente|atte|bien à vous|amicalement|bises|bisous|mfg|vg|lg|saluti|groeten|groetjes|pozdrawiam|abraços?|yours faithfully|rgds|br|thx|ty"
    r"|(?:letter|e-?mail|message|text|note|card|gift|package|parcel|reference|eulogy|toast|poem|reply|response|voicemail|complaint|invitation|apology|postcard) (?:to|for|from)|(?:brief|mail|nachricht|sms|whatsapp|paket|einladung|rechnung|überweisung|karte|antwort|absage|kündigung|geschenk) (?:an|für|von)"
    r"|(?:lettre|mail|message|courriel|sms|colis|facture|virement|réponse|carte) (?:à|pour|de)|(?:carta|correo|mensaje|paquete|factura|transferencia|respuesta|regalo) (?:a|para|de))"
    r"[ \t,!.\-–—]{1,3}(?:\r?\n[ \t>\-–—]{0,4}){0,2}[\"'*_]{0,2}",
    re.I,
)
_NO_PERSON_TAIL = re.compile(
    r"[ ](?:Inc|Ltd|LLC|Corp|GmbH|Co\.|Company|University|College|Street|St\.|Avenue|Ave|Road|Hospital|School|Bank|Airport|Park|Prize|Award|Stadium|Foundation|Institute|theorem|algorithm|equation|distribution|Island|Bay|County|Hotel|Museum|Series|Group|Center|Centre|Code|Framework|Library|API|Cloud|Studio|Language|series|transform|distribution|method|the [A-Z][a-z]+)\b"
)
_PUBLIC_TALK = re.compile(
    r"(?<![a-z])(?:who (?:is|was|were|won|wrote|invented|discovered)|(?:novels?|books?|poems?|plays?|films?|movies?|songs?|albums?|quotes?|paintings?) (?:by|of|from)|written by|starring|directed by|lyrics|singers?|bands?|actors?|actress|characters?|protagonist|presidents?|prime minister|emperor|pope|philosoph\w+|economists?|scientists?|physicists?|mathematicians?|inventors?|painters?|artists?|composers?|footballers?|players?|athletes?|biography|theory|theories|theorem|historical|century|polic(?:y|ies) of|in the style of|difference between|compare|comparison|versus|vs\.?|world cup|nobel|famous|celebrit\w+|wars?|revolution|empire|dynasty|plot|authors|literature|essay on|politicians?|senators?|ideas of)(?![a-z])",
    re.I,
)
_WORK = re.compile(
    r"[ ]?(?:'s|’s)?[ ](?:novels?|books?|films?|movies?|songs?|albums?|theory|theories|theorem|poems?|plays?|paintings?|symphony|speech|presidency)\b"
)
_CONTACT = re.compile(
    r"[ ]{0,2}(?:[,(|\-–—:\[]|at|on|tel\.?|phone|cell|mobile)?[ ]{0,2}(?:at|on|tel\.?|phone|cell|mobile|ph\.?|m)?[:.]?[ ]{0,2}\+?\(?[0-9][0-9\-. ()/]{7,20}[0-9](?![0-9])",
    re.I,
)
_HANDS = re.compile(
    r"(?<![a-z])(?:send|sent|sending|email|emailed|text|texted|owes?|lend|lent|pay|paid|remind|tell|told|ask|asked|bring|brought|gave)[ ]$",
    re.I,
)
_THING = re.compile(r"[ ](?:the|an?|my|our|his|her|some|this|that|these|those|about|to)[ ]")
_CLOSED = re.compile(r"[ ]?(?:[,!\n\-–\"”»]|$)")
_KING = re.compile(r"[IVX]{2,5}")
_AGAIN = re.compile(r"[ ](?:from|here|again|calling)(?![A-Za-z])", re.I)
_HERE = re.compile(r"[ ](?:from|here|again|calling|at|with)\b", re.I)
_CODE_TAIL = re.compile(r"[(\[_/\\=]|\.[A-Za-z(]|::")
_PLACE_BEFORE = re.compile(
    r"\b(?:Mount|Mt\.?|Lake|San|Santa|Saint|St\.?|Los|Las|El|La|New|Fort|Port|North|South|East|West|Cape|River|Camp|Visual|Apache|Amazon|Google|Microsoft|Apple|Adobe|Oracle|Team|Project|Operation|Hurricane|Storm)[ ]$"
)
_MARKS = re.compile(r"(?:[,;:\-–—(\[\"'|>/•·*]|[0-9][.)])[ \t]{0,3}(?:\r?\n[ \t>]{0,4}){0,2}[\"'*_(]{0,2}")
_WEAK = re.compile(
    r"(?<![A-Za-z])(?:i(?:'|’)?m|i am|this is|it(?:'|’)?s|here is|hi|hello|hey|dear|thanks,?|thank you,?|cheers,?|regards,?|best,?|sincerely,?|yours,?|love,?|xoxo,?|with|from|to|by|for|and|contact|email|e-mail|call|called|text|texted|ask|asked|tell|told|remind|invite|cc|ping|message|messaged|meet|met|met with|visit|visiting|hired|fired|promote|thank|owner|author|reviewer|assignee|reporter|signed|sincerely yours|kind regards,?|best regards,?|warm regards,?|respectfully,?|said|between|works? with|dating|married|marry|forward(?:ed)? to|cc'?d|loop in|assign(?:ed)? to|gruß|grüße|cordialement|saludos|atentamente|mfg|vg|lg)"
    r"[ \t]{1,3}(?:\r?\n[ \t>]{0,4}){0,2}[\"'*_(]{0,2}",
    re.I,
)  # fmt: skip
_LABEL = re.compile(
    r"(?<![A-Za-z])(?:(?:full|first|last|given|family|middle|sur|fore|nick|maiden|legal|display|contact|customer|client|patient|employee|student|user|account|card|holder|account ?holder|cardholder|recipient|sender|billing|shipping|guest|passenger|beneficiary|insured|tenant|applicant|candidate|author|owner|manager|emergency|member|subscriber|spouse|parent|guardian|doctor|physician|provider|attendee|participant|payee|payer|buyer|seller|witness|signatory|policyholder|host|driver|teacher|contact)?[ _\-]?name(?:_?(?:first|last|full|kana|kanji|en|ja))?|(?:account|card|policy)[ _\-]?holder|patient|customer|client|employee|recipient|sender|applicant|candidate|contact(?: person)?|emergency contact|beneficiary|cardholder|attendees?|participants?|guest|passenger|tenant|landlord|author|assignee|assigned to|reporter|owner|reviewer|supervisor|manager|physician|doctor|signed|signature|from|to|cc|bcc|attn|ship to|bill to|sold to|deliver to|next of kin|spouse|caller|witness|lead|poc|requester|submitted by|prepared by|nom|prénom|prenom|vorname|nachname|kunde|kundin|patientin|ansprechpartner|empfänger|absender|nombre|apellidos?|cliente|paciente|titular|nome|cognome|naam|kontoinhaber|inhaber|destinataire|titulaire|speaker|instructor|agent|rep|interviewer|interviewee|committer|co-authored-by|signed-off-by|hr|host|organizer|[\"'](?:given|family|first|last)|surname|forename|student|teacher|mother|father|parent|guardian|son|daughter|child|wife|husband)[\"'`*]{0,3}[ \t]{0,2}(?:=>|[:=|：]|->)[ \t]{0,3}[\"'`*\[]{0,3}",
    re.I,
)  # fmt: skip
_NAME_FIELD = re.compile(
    r"(?:(?:full|first|last|given|family|middle|sur|legal|maiden|patient|customer|client|employee|student|cardholder|card[ _\-]?holder|account[ _\-]?holder|recipient|sender|contact)[ _\-]?name|[\"'](?:given|family|first|last|surname|forename)|surname|forename|vorname|nachname|prénom|apellidos?|cognome)[\"'`*]{0,3}\s{0,2}[:=][ \t]{0,3}[\"'`]{0,2}$",
    re.I,
)
_TITLED = re.compile(
    r"(?<![A-Za-z])(?:mr|mrs|ms|mx|miss|dr|prof|professor|herr|frau|monsieur|madame|mme|mlle|señora?|sra?|signora?|sir|dame)\.?[ \t]{1,2}",
    re.I,
)
_JAPANESE_TITLE = re.compile(
    r"-?(?:san|sama|kun|chan|sensei|senpai|shi)(?![A-Za-z])|[ ]?(?:さん|様|さま|氏|くん|君|ちゃん|先生|殿)"
)
_TO_SOMEBODY = re.compile(
    r"(?<![a-z])(?:ask|asked|tell|told|call|called|text|texted|email|emailed|message|ping|invite|remind|thank|meet|met|with|from|and|to|for|by|hi|hey|hello|thanks|dear|me and|love|cc|contact)[ ,]{1,2}$",
    re.I,
)
_WHO = re.compile(r"(?:'s|’s)?,?[ ]who(?:'s|[ ])", re.I)
_NO_NAME_BEFORE = re.compile(
    r"\b(?:in|at|near|visit|of|the|a|an|on|via|using|use|than|like|vs\.?|into|near|run|install|called)[ ]$",
    re.I,
)
_PERSONAL = re.compile(
    r"(?<![a-z])(?:my|our|i|i'm|i’m|me|us|he|she|his|her|him|hers|dear|regards|sincerely|employee|customers?|client|patient|tenant|phone|e-?mail|tel|meeting|attendees|contact|colleague|signed|address|mr|mrs|ms|dr|mein|meine|ich|mon|ma|je|mi|soy)(?![a-z])|@|[0-9]{7}",
    re.I,
)
_TELL = re.compile(
    r"(?<![a-z])(?:ask|asked|tell|told|called|texted|text|email|emailed|hi|hey|hello|dear|thanks|met|remind|invite|me and)[ ,]{1,2}$",
    re.I,
)
_PERSON_VERB = re.compile(
    r"(?:'s|’s)?,?[ ](?:who(?:'s| is| was| has| turns| works| lives| lived| just| will)|said|says|told|asked|asks|called|emailed|texted|wrote|works?|worked|lives?|lived|moved|wants?|needs?|thinks?|is (?:my|a|an|our|the|in|at|on|from|not|going|coming|out|sick|late|leaving|\d+)|was (?:born|my|hired|fired|admitted|diagnosed|prescribed|late|here)|has (?:a|been|an|not)|born|will|can|could|would|has|had|joined|left|quit|died|married|and (?:i|my|her|his)|just|recently|complained|reported|reached|responded|replied|mentioned|submitted|approved|signed|agreed|paid|owes|visited|attended|graduated|lost|forgot|keeps?|never|always|doesn't|didn't|isn't|wasn't|won't|can't|at \d|phone|email|cell|mobile|address|salary|password|account|dob|ssn|birthday)(?![a-z])",
    re.I,
)
_POSSESSION = re.compile(
    r"(?:'s|’s)[ ](?:\w+ )?(?:phone|email|e-mail|number|address|birthday|house|account|salary|password|passport|ssn|wife|husband|son|daughter|mother|father|laptop|car|contract|resume|cv|file|record|results?|diagnosis|calendar|team|manager|desk|office|review|order|case|data|info\w*|details|name|dob|home|apartment|job|schedule|medical|insurance|bank|card|credit)",
    re.I,
)


def latin_names(text: str) -> Iterator[Found]:
    """Persons in a reading of the text."""
    lexicon, common = latin(), words()
    tokens = list(matches(_TOKEN, text))
    heard = _Heard.in_text(text) if tokens else None
    at = 0
    textbook = heard is not None and not heard.personal and {t[0].lower() for t in tokens} >= _TEXTBOOK
    while heard is not None and at < len(tokens):
        if textbook and tokens[at][0].lower() in _TEXTBOOK | {"eve", "carol", "charlie"}:
            at += 1
            continue
        glued = tokens[at].start() and text[tokens[at].start() - 1] in "'’" and len(tokens[at][0]) < 3
        titled = tokens[at].start() in heard.titled and tokens[at][0][0].isupper()
        stray = tokens[at][0] in _PARTICLES and tokens[at].start() not in heard.titled
        if glued or stray or not (titled or _may_start(tokens[at][0], lexicon, common)):
            at += 1
            continue
        run = _run(text, tokens, at)
        best = _best(text, tokens, at, run, heard)
        if best is None:
            at += 1
            continue
        size, certainty = best
        if not certainty:  # somebody public
            at += size
            continue
        start, end = tokens[at].start(), tokens[at + size - 1].end()
        if tokens[at + size - 1][0].lower() in _SUFFIXES | {"jr", "sr"} and text[end : end + 1] == ".":
            end += 1
        yield Found(start, end, Kind.PERSON, certainty)
        at += size


_CAPITALS = r"([A-ZÀ-Þ][a-zß-ɏ'’\-]+(?:[ ](?:(?:van|von|de|del|der|da|di|la|el|al|bin)[ ]){0,2}[A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]+){1,2})"
_NEXT = re.compile(rf"[ ]?(?:[,;&/+]|[ ](?:and|und|et|y|e)[ ])[ ]{{0,2}}(?:and[ ])?{_CAPITALS}(?![A-Za-z])")
_PREVIOUS = re.compile(
    rf"(?<![A-Za-z.\-]){_CAPITALS}[ ]?(?:[,;&/+]|[ ](?:and|und|et|y|e))[ ]{{1,2}}(?:and[ ])?$"
)
_GIVEN_AFTER = re.compile(r",[ ]([A-ZÀ-Þ][a-zß-ɏ'’\-]{1,20}(?:[ ][A-Z]\.?(?![a-z]))?)(?=[\"'(<;:\n]|$)")
"""`Byron, Ada`, as indexes and letters write it."""
_AND = re.compile(r"[\"']?[ ]?(?:,|&|and|und|et|y|/|\+)[ ]{0,2}(?:and )?[\"']?$|,[ ]$")


_SPEAKER = re.compile(
    r"^[ \t>]{0,4}(?:\[?(?:[0-9]{1,4}[/.\-][0-9]{1,2}[/.\-][0-9]{1,4},?[ ])?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:[ ]?[AaPp][Mm])?\]?)[ \-–]{1,3}"
    r"([A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20}(?:[ ][A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20}){0,2})(?=:[ ])",
    re.M,
)


def speakers(text: str) -> Iterator[Found]:
    """Who speaks in the log of a chat: `[09:13] Hamza: …`."""
    for match in _SPEAKER.finditer(text):
        parts = [p.lower() for p in _TOKEN.findall(match[1])]
        named = len(parts) > 1 or not _is_word(parts[0]) or _is(parts[0], latin().given)
        if named and not match[1].isupper() and not any(p in _NEVER for p in parts):
            yield Found(*match.span(1), Kind.PERSON, 0.7)


def together(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """Given names that stand beside a found person (`Mark and Priya`): what is ambiguous alone is not there."""
    lexicon = latin()
    spans = {f.start: f for f in found} | {f.end: f for f in found}
    for token in matches(_TOKEN, text):
        low = token[0].lower()
        if (
            not token[0][0].isupper()
            or low in _NEVER
            or not (low in lexicon.given or text[token.start() - 1 : token.start()] in tuple("'\""))
        ):
            continue
        if re.match(r"[ ][A-Z]", text[token.end() : token.end() + 2]):
            continue
        after = re.match(
            r"[ ]?(?:,|&|and|und|et|y|/|\+)[ ]{0,2}(?:and )?[\"']?", text[token.end() : token.end() + 8]
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
    yield from _listed_beside(text, found)
    for one in found:
        if " " not in text[one.start : one.end] and (given := _GIVEN_AFTER.match(text, one.end)) is not None:
            if _is(given[1].lower(), lexicon.given) or text[one.start - 1 : one.start] in ('"', "'"):
                yield Found(one.start, given.end(1), Kind.PERSON, one.certainty)


def _listed_beside(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """Whole names in one list with a whole name that was found: `Ada Byron, Renske Young and Mei Stone`."""
    waiting = [f for f in found if " " in text[f.start : f.end]]
    met = {f.start for f in found} | {f.end for f in found}
    while waiting:
        one = waiting.pop()
        around = [
            m
            for m in (_NEXT.match(text, one.end), _PREVIOUS.search(text, max(0, one.start - 64), one.start))
            if m
        ]
        for match in around:
            start, end = match.span(1)
            if start in met or end in met or not _could_be_listed(match[1], text, end):
                continue
            met |= {start, end}
            beside = Found(start, end, Kind.PERSON, 0.56)
            waiting.append(beside)
            yield beside


def _could_be_listed(name: str, text: str, end: int) -> bool:
    parts = [p.lower() for p in _TOKEN.findall(name)]
    capitals = _TOKEN.findall(name)
    if (
        any(p in _NEVER and not (i == 0 and _full(capitals)) for i, p in enumerate(parts))
        or " ".join(parts) in public_figures()[0]
    ):
        return False
    if _NO_PERSON_TAIL.match(text[end : end + 48]) or all(_is_word(p) for p in parts):
        return False
    return _is(parts[0], latin().given) or (_rank(parts[-1], latin()) is not None and parts[0] not in _PLACES)


def _may_start(token: str, lexicon: Latin, common: frozenset[str]) -> bool:
    low = token.lower().replace("’", "'")
    if (low in _NEVER and not (low in _MONTH_NAMES and token[0].isupper())) or low.endswith(
        ("n't", "'ll", "'ve", "'re", "'d", "'m")
    ):
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
        if upper and not _is_capital(here[0]) and here[0].lower() not in _PARTICLES:
            break
        size += 1
    while (
        size > 1
        and tokens[at + size - 1][0].lower() in _PARTICLES
        and not tokens[at + size - 1][0][0].isupper()
    ):
        size -= 1
    return size


def _is_capital(part: str) -> bool:
    """Does it begin with a capital, a particle with a hyphen aside (`al-Rashid`)?"""
    particle, hyphen, rest = part.partition("-")
    return part[0].isupper() or (bool(hyphen and rest) and particle in _PARTICLES and rest[0].isupper())


def _best(
    text: str, tokens: Sequence[re.Match[str]], at: int, run: int, heard: _Heard
) -> tuple[int, float] | None:
    """The longest prefix of the run that is a person, with its certainty."""
    start = tokens[at].start()
    said = heard.before(text, start)
    full, _ = public_figures()
    for size in range(min(run, 5), 0, -1):
        parts = [t[0] for t in tokens[at : at + size]]
        end = tokens[at + size - 1].end()
        lows = [p.lower() for p in parts]
        plain = " ".join(lows)
        if size > 1 and (plain in full or plain.replace(".", "") in full):
            return size, (0.5 if said.strong and not said.titled else 0.0)
        if any(low.endswith(("n't", "'ll", "'ve", "'re")) for low in lows):
            continue
        surname = said.titled and size == 1 and parts[0][0].isupper() and lows[0] in latin().rank
        if not surname and any(
            low in _NEVER and not _also_a_surname(lows, i) and not (i == 0 and said.strong and _full(parts))
            for i, low in enumerate(lows)
        ):
            continue
        score = _score(parts, lows, text, start, end, said)
        if score >= 0.5:
            return size, min(0.83, 0.45 + score / 4)
    return None


def _full(parts: Sequence[str]) -> bool:
    """Are these a given name that is a verb and a surname that is no word (`Will Okafor`)?"""
    return (
        len(parts) == 2
        and parts[0].lower() in ("will", "may", "can", "art", "sue", "pat")
        and all(part[0].isupper() for part in parts)
        and not _is_word(parts[1].lower())
        and parts[1].lower() not in _NEVER
    )


def _also_a_surname(lows: Sequence[str], at: int) -> bool:
    """Is a word that is no name alone a part of one here (`Jiwoo Park`, `Theresa May`)?"""
    if lows[at] in ("st", "san", "santa"):
        return len(lows) > 1
    if at == 0 and len(lows) == 2 and lows[0] in _MONTH_NAMES:
        return latin().rank.get(lows[1], 9999) < 5000 and not _is_word(lows[1])
    return at > 0 and at == len(lows) - 1 and lows[at] in _NEVER_ALONE and _is(lows[0], latin().given)


def _score(parts: Sequence[str], lows: Sequence[str], text: str, start: int, end: int, said: _Said) -> float:
    """Evidence that exactly these parts name a person; half and more says so."""
    core = [
        (p, low)
        for p, low in zip(parts, lows)
        if low not in _PARTICLES and low not in _SUFFIXES and len(low) > 1
    ]
    tail = text[end : end + 48]
    mailed = _AFTER_NAME.match(tail) is not None
    reachable = mailed or (_capital_or_known(parts, lows) and _CONTACT.match(tail) is not None)
    honoured = _JAPANESE_TITLE.match(tail) is not None
    if not core or _NO_PERSON_TAIL.match(tail):
        return 0.0
    if len(parts) == 2 and _KING.fullmatch(parts[1]):
        return 0.0  # a king
    if (
        tail[:1].isdigit()
        or (tail[:1] == "-" and tail[1:2].isdigit())
        or (start and text[start - 1].isdigit())
    ):
        return 0.0
    if not mailed and (_CODE_TAIL.match(tail) or (start and text[start - 1] in "._/\\#$@&%-")):
        return 0.0
    lexicon = latin()
    capital = all(_is_capital(p) for p, _ in core)
    closed = _CLOSED.match(tail) is not None
    inside = [
        _Part(
            p,
            low,
            _is(low, lexicon.given),
            _rank(low, lexicon),
            _is_word(low) and not (p[0].isupper() and low in _NAMES_FIRST),
        )
        for p, low in core
    ]
    if len(core) == 1:
        initials = sum(len(low) == 1 for low in lows)
        score = _alone(inside[0], text, start, end, said, closed)
        if initials and capital and inside[0].rank is not None:
            dotted = text[start + 1 : start + 2] == "." and text[max(0, start - 8) : start].rstrip(" ")[
                -1:
            ] not in ("", "\n")
            often = dotted and (inside[0].rank or 0) < 5000
            score += 0.35 if not inside[0].word or often else 0.15 if dotted else 0.0
    else:
        opens = start == 0 or text[max(0, start - 80) : start].rstrip(" *#>\t")[-1:] in (
            "",
            ".",
            "!",
            "?",
            "\n",
            ":",
        )
        introduced = said.label or _INTRODUCED.search(text, max(0, start - 24), start) is not None
        unplaced = said.personal and _NO_NAME_BEFORE.search(text, max(0, start - 12), start) is None
        score = (
            _capitals(inside, opens, unplaced)
            if capital
            else _lower(inside, introduced or said.strong or (said.greeting and closed))
        )
        score += 0.45 if said.strong or (said.greeting and closed) else 0.1 if said.weak else 0.0
        if not said.strong and text[max(0, start - 4) : start].lower() == "the ":
            score -= 0.5
        if (
            any(part.low in _PLACES for part in inside)
            and not said.strong
            and not (inside[-1].rank or 9999) < 4000
        ):
            score -= 0.15
    if not (said.strong or said.titled or honoured or reachable) and _public_talk(text, start, end):
        score -= 0.5
    if honoured:
        score += (
            0.6
            if len(core) > 1 or not inside[0].word or inside[0].given or inside[0].rank is not None
            else 0.2
        )
    if reachable:
        score += 0.5 if len(core) > 1 else 0.3 if mailed or inside[0].given else 0.0
    if capital and len(core) == 1 and not inside[0].word and said.personal:
        if _THING.match(tail) and _HANDS.search(text, max(0, start - 12), start):
            score += 0.5 - 0.25 * (inside[0].low in public_figures()[1])
    if (
        len(core) == 1
        and (capital or inside[0].given)
        and _WHO.match(tail)
        and not (inside[0].word or inside[0].low in public_figures()[1])
    ):
        score += 0.5
    elif capital and (_PERSON_VERB.match(tail) or _POSSESSION.match(tail)):
        known = any(p.given for p in inside)
        score += (
            (0.2 if len(core) > 1 else 0.3) if known else 0.15 if not any(p.word for p in inside) else 0.0
        )
    return score


def _capital_or_known(parts: Sequence[str], lows: Sequence[str]) -> bool:
    """Do all parts begin with a capital, or the first be a given name and none be too common a word?"""
    return all(p[0].isupper() for p in parts) or (
        len(parts) == 2 and lows[0] in latin().given and lows[1] in latin().rank
    )


def _public_talk(text: str, start: int, end: int) -> bool:
    """Is the sentence about books, history, politics, fame?"""
    left = max(text.rfind(mark, max(0, start - 90), start) for mark in ".!?\n")
    return _PUBLIC_TALK.search(text, max(left, start - 90, 0), start) is not None or (
        _WORK.match(text[end : end + 24]) is not None
    )


class _Said(NamedTuple):
    """What stands before a candidate: a label, a title, what certainly or only perhaps announces a name."""

    label: bool
    titled: bool
    strong: bool
    greeting: bool
    weak: bool
    personal: bool
    """Is the text as a whole about somebody at hand: first persons, contacts, greetings?"""


@dataclass(frozen=True, slots=True)
class _Heard:
    """Where in a text announcements end; found once, asked for every candidate."""

    label: frozenset[int]
    titled: frozenset[int]
    strong: frozenset[int]
    greeting: frozenset[int]
    weak: frozenset[int]
    personal: bool

    @classmethod
    def in_text(cls, text: str) -> _Heard:
        def ends(*patterns: re.Pattern[str]) -> frozenset[int]:
            return frozenset(m.end() for pattern in patterns for m in matches(pattern, text))

        return cls(
            ends(_LABEL),
            ends(_TITLED),
            ends(_STRONG, _ROLE),
            ends(_GREETING),
            ends(_WEAK, _MARKS),
            _PERSONAL.search(text) is not None,
        )

    def before(self, text: str, start: int) -> _Said:
        label, titled = start in self.label, start in self.titled
        strong = label or titled or start in self.strong
        greeting = strong or start in self.greeting
        opens = start == 0 or text[start - 1] == "\n" or not text[max(0, start - 60) : start].strip()
        return _Said(label, titled, strong, greeting, greeting or opens or start in self.weak, self.personal)


class _Part(NamedTuple):
    text: str
    low: str
    given: bool
    rank: int | None
    word: bool


def _capitals(parts: Sequence[_Part], opens: bool, unplaced: bool) -> float:
    """Several capitalised parts, from inside. `opens`: they open a sentence or a line, where any word is a
    capital. `unplaced`: no article or preposition of place stands before them."""
    first, last = parts[0], parts[-1]
    score = 0.0
    if first.given and last.rank is not None:
        both = first.word and last.word
        score = (
            0.8
            if not (first.word or last.word)
            else 0.7
            if not both
            else 0.5
            if last.rank < 4000 and not opens
            else 0.3
        )
    elif last.given and first.rank is not None and len(parts) == 2:
        score = 0.6 if not (first.word or last.word) else 0.25
    elif first.given and not last.word:
        score = 0.35 if first.word else 0.65
    elif last.rank is not None and not first.word:
        score = 0.3 if last.word else 0.55 if last.rank < 20000 else 0.45
    elif not first.word and not last.word:
        plain = all(len(p.low) > 2 and p.text[1:].islower() for p in parts)
        score = 0.5 if unplaced and plain and not opens and len(parts) == 2 else 0.4
    elif all(p.word for p in parts):
        score = -0.4
    elif not last.word:
        score = 0.15 if last.rank is not None else 0.1
    if len(parts) > 2 and any(p.word and not p.given and p.rank is None for p in parts):
        score -= 0.5
    return score


def _lower(parts: Sequence[_Part], introduced: bool) -> float:
    """Several parts not all capitalised, from inside; only an introduction makes names of unknown ones."""
    first, last = parts[0], parts[-1]
    if any(len(p.low) < 3 or (p.word and not p.given and p.rank is None) or p.low in _FOREIGN for p in parts):
        return -0.6
    known = first.given and last.rank is not None and last.rank < 30000
    if known:
        if not first.word and last.word:
            return 0.5 if last.rank is not None and last.rank < 5000 else 0.3
        return 0.65 if not last.word else 0.4 if not (first.word and last.word) else -0.1
    if last.given and first.rank is not None and len(parts) == 2:
        return 0.45 if not (first.word or last.word) else 0.0
    if not introduced or any(p.word for p in parts):
        return -0.3
    return 0.35 if first.given else 0.1


def _alone(part: _Part, text: str, start: int, end: int, said: _Said, closed: bool) -> float:
    """One part by itself, with what announces it."""
    capital = part.text[0].isupper()
    before = text[max(0, start - 40) : start]
    if part.text.isupper() and len(part.text) > 1 and not (said.label or said.titled or before.isupper()):
        return 0.0
    if capital and not said.strong and _PLACE_BEFORE.search(before):
        return 0.0
    if part.given and said.greeting and _AGAIN.match(text, end):
        return 0.6
    famous = part.low in public_figures()[1] or part.low in _PLACES
    score = 0.0
    if capital and part.given:
        score = 0.05 if famous else 0.3 if part.word else 0.5
    elif capital and part.rank is not None and not part.word:
        score = (0.25 if part.rank < 3000 else 0.1) - (0.25 if famous else 0.0)
    elif capital:
        score = (0.0 if said.titled or not part.word else -0.2) - (0.25 if famous else 0.0)
    else:
        score = (
            0.15
            if part.given and not part.word
            else 0.05
            if part.rank is not None and not part.word
            else -0.1
        )
        score -= (0.3 if part.word or part.low in _FOREIGN else 0.0) + (0.3 if len(part.low) < 3 else 0.0)
    if said.titled and (capital or not part.word):
        score += 0.6
    elif said.label:
        field = _NAME_FIELD.search(before) is not None
        score += (
            0.65 if field else 0.5 if (capital or part.given) and not (part.word and not part.given) else 0.2
        )
    elif said.strong:
        score += 0.5 if (capital and not part.word) or part.given else 0.2 if not part.word else 0.0
    elif said.greeting and (capital or closed) and part.given:
        score += 0.45
    elif (
        said.greeting
        and (closed or _HERE.match(text, end))
        and not part.word
        and (not famous or (part.given and _HERE.match(text, end) is not None))
        and part.low not in _FOREIGN
        and len(part.low) > 3
    ):
        score += 0.5 if capital else 0.45
    elif said.weak and capital and (part.given or part.rank is not None):
        score += 0.15 if part.given else 0.05
    elif part.given and not famous and len(part.low) > 2 and _TO_SOMEBODY.search(before):
        score += (
            0.4
            if not part.word and len(part.low) > 3
            else 1.0
            if part.low in _NAMES_FIRST and _TELL.search(before)
            else 0.0
        )
    return score


@lru_cache(maxsize=65536)
def _is_word(low: str) -> bool:
    """Is this a word of a language rather than only a name, inflected or not?"""
    common = words()
    if low in common or low in _FOREIGN or ("our" in low and low.replace("our", "or") in common):
        return True
    low = low.replace("our", "or") if low.endswith(("ours", "oured", "ouring")) else low
    for ending in ("s", "es", "d", "ed", "ing", "ly", "er", "ers", "ies", "ied"):
        stem = low.removesuffix(ending)
        if (
            stem != low
            and len(stem) > 2
            and (
                stem in common
                or (
                    ending in ("ed", "ing", "er", "ers")
                    and (stem + "e" in common or (stem[:-1] in common and stem[-1] == stem[-2]))
                )
                or (stem + "y" in common and ending.startswith("ie"))
            )
        ):
            return True
    return False


@lru_cache(maxsize=65536)
def _unaccented(low: str) -> str:
    return low if low.isascii() else "".join(c for c in normalize("NFD", low) if not combining(c))


def _is(low: str, names: frozenset[str]) -> bool:
    return (
        low in names
        or _unaccented(low) in names
        or ("-" in low and all(p in names for p in low.split("-")))
        or (low.endswith(("'s", "’s")) and low[:-2] in names)
    )


def _rank(low: str, lexicon: Latin) -> int | None:
    plain = _unaccented(low.replace("'", "").replace("’", ""))
    if plain in lexicon.rank:
        return lexicon.rank[plain]
    if "-" in plain:
        ranks = [lexicon.rank.get(p) for p in plain.split("-")]
        return max(r for r in ranks if r is not None) if any(r is not None for r in ranks) else None
    return None
