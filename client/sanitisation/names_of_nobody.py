"""Names that are nobody's at hand: of characters, of exercises, of sayings, of firms, of what was called after somebody.

A short text that says nothing of its writer or of theirs, and asks for a story, a sum, the meaning of a phrase or
of a name, means no person by the names in it. Whoever is of kin to the writer, or can be reached, stays private.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from renga.client.sanitisation import name_cues as cues
from renga.client.sanitisation.lexicon import latin, listed, public_figures
from renga.client.sanitisation.names_inside import PLACES, is_word

_LONGEST = 2000
"""A longer text may be about many things."""

_ASKING = re.compile(
    r"(?<![a-z])(?:(?:give|tell|write|show|help|teach|let|find|suggest|make|draw|get|recommend|draft|compose) (?:me|us)"
    r"|i (?:need|want|mean|like|love|think|wonder|have to|would like|was wondering|am (?:writing|reading|learning|playing))"
    r"|i(?:'|’)(?:d like|m (?:writing|reading|learning|playing|feeling))|(?:can|could|should|do|may|must|did|would) (?:i|we)|we (?:prefer|like|want|love|are expecting)|as if i were|i(?:'|’)?m five"
    r"|(?:my|our) (?:[\w&]+ ){0,2}(?:novel|story|screenplay|campaign|character|hero|heroine|protagonist|villain|book|comic|game|paladin|wizard|rogue|ranger|cleric|bard|garden|essay|homework|dog|cat|puppy|kitten))(?![a-z])",
    re.I,
)
"""How one asks for something; it says nothing of who asks."""
_OWN = re.compile(
    r"(?<![a-z])(?:my|mine|our|ours|i|i(?:'|’)(?:m|ve|ll|d)|im|me|us|we|we(?:'|’)(?:re|ve|ll)|dear|regards|sincerely|yours|ich|mir|mich|mein\w{0,2}|unser\w{0,2}|je|moi|mon|ma|mes|notre|yo|mis?|nuestr[oa])(?![a-z])|@|[0-9](?:[ \-.]?[0-9]){6}",
    re.I,
)
_SAID_BY_OTHERS = re.compile(r"\"[^\"\n]{0,200}\"|“[^”\n]{0,200}”|^[A-Z]{3,16}:[^\n]*", re.M)

_FICTION = re.compile(
    r"(?<![a-z])(?:short |bedtime |fairy |horror |love |ghost |children's )*(?:stor(?:y|ies)|tales?|poems?|limericks?|haikus?|sonnets?|ballads?|monologues?|dialogues?|screenplays?|fables?|fan ?fic\w*|backstor(?:y|ies)|plot|novels?|novella|rap|lullab(?:y|ies)|nursery rhymes?)(?![a-z])"
    r"|once upon a time|(?<![a-z])(?:d&d|dnd|dungeons|character (?:sheet|called|named|who)|role-?play|paladin|protagonist|antagonist|villain|heroine|in the style of|thou|thee|(?:the|a) (?:princess|prince|dragon|wizard|knight|witch|stranger))(?![a-z])"
    r"|(?:^|\n)[ ]{0,4}(?:act [ivx0-9]+|scene [ivx0-9]+|(?:INT|EXT)\. |(?i:continue)(?: the| this)?(?: scene| tale| story)?:)",
    re.I,
)
_OF_FICTION = re.compile(
    r"(?<![a-z])(?:an?|another|the|my|our) (?:[\w&'\-]+ ){0,4}?(?:named|called|nicknamed)[ ]{1,2}[\"']?$",
    re.I,
)
"""`a lighthouse keeper named …`."""
_GIVEN_NAME = re.compile(
    r"(?<![a-z])(?:name(?:d|'s| is| was)?|called|(?:detective|captain|princess|prince|king|lady|lord|sir|wizard|knight|agent|inspector))[ :]{1,2}[\"']?$",
    re.I,
)
_TO = re.compile(r"(?<![a-z])(?:for|to|from|honou?ring|dedicated to|tell|ask|remind)[ ]$", re.I)
_SUM = re.compile(
    r"(?<![a-z])how (?:many|old|much|far|long|fast|tall|heavy)(?![a-z])|find the (?:age|number|probability)|who (?:is|was|runs|has) (?:the )?(?:fast|old|tall|heavi|young|short|slow|more|most)|what does each|each (?:one )?(?:pays?|gets?|receives?)|in the ratio",
    re.I,
)
_AMOUNTS = re.compile(
    r"[0-9]|(?<![a-z])(?:twice|half|double|thrice|(?:two|three|four|five) times)(?![a-z])", re.I
)
_MATTERS = re.compile(
    r"(?<![a-z])(?:patients?|diagnos\w+|mg|ml|employees?|tenants?|invoices?|salar(?:y|ies)|severance|vacation|contracts?|born)(?![a-z])",
    re.I,
)
"""What no exercise is about."""
_NAMING = re.compile(
    r"(?<![a-z])(?:pronounc\w+|baby names?|names? (?:for|such as|like|in)|the (?:first |given |male |female )?names? (?!is|of)|(?:un)?common (?:first |given )?name|popular names?|(?:origin|meaning) of (?:the )?names?|nicknames? (?:such as|like|for)|spelling of|a (?:first|last|given|family|boy's|girl's|unisex) name|an? surname)",
    re.I,
)
_SAYING = re.compile(
    r"(?<![a-z])(?:idioms?|proverbs?|(?:the|this|old|a) (?:phrase|saying|expression)s?(?! is)|figure of speech|why (?:do|are|is) (?:we|people|it|they) (?:say|called|call)|what does it mean to|come from|understood by|etymology|metaphors?|word origin|(?<!fix )(?<!fix the )(?<!check the )(?<!correct the )(?<!check )(?<!my )(?<!improve the )grammar|grammatical(?:ly)?|(?:the|this) sentence|esl|efl|fill (?:in )?the gaps?|conjugate|apostrophes?|mean by)(?![a-z])|^is [\"“][^\"\n]+[\"”] (?:right|correct|wrong)|^is it [\"“][^\"\n]+[\"”],? or [\"“]",
    re.I,
)
_FIRM_TAIL = re.compile(
    r"[ ]?(?:&|and)[ ](?:Sons?|Co\.?|Company|Brothers|Bros\.?|Daughters|Associates|Partners)(?![A-Za-z])"
)
_AMPERSAND_AFTER = re.compile(r"[ ]?&[ ]?([A-Za-z]+)(?:'s|’s)?")
_AMPERSAND_BEFORE = re.compile(r"([A-Za-z]+)[ ]?&[ ]?$")
_SHOP = re.compile(
    r"(?:'s|’s)[ ](?:[0-9]|or[ ]|and[ ][A-Z]|vs|versus|still[ ](?:make|sell|open)|(?:an?|the)[ ](?!\w+[ ](?:of|for)[ ](?:my|our))|(?:healthier|cheaper|better|worse|bigger|open)(?![a-z])|menu|store|jeans|ice[ ]cream|in[ ](?:serif|sans|bold))"
)
_WORD_TAIL = re.compile(
    r"[ ](?:is|as)[ ](?:(?:used|just)[ ])?(?:as[ ])?(?:an?|the)[ ](?:\w+[ ])?(?:verb|noun|word|adjective|name|colou?r|month|city|town|plant|flower|brand)(?![a-z])|,[ ](?:Queen|King|Duke|Duchess|Prince|Princess|Emperor|Empress|Saint)[ ](?:of|the)(?![a-z])"
)
_ARTICLE = re.compile(
    r"(?<![A-Za-z'])(?:of|is|was|when|with|than|like|for|from|as|have|has|had|buy|bought|drive|get|got|make|into|by|not|just|play|wear|prune|plant|grow|use|order|in|and|or|explain|make)[ ](?:an?|every|each|one)[ ](?:[a-z]+[ ])?$",
    re.I,
)
"""An English one: `an Helga` is German, `a Kenji` Spanish."""
_AT = re.compile(r"(?<![A-Za-z])(?:at|in|near)[ ]$")
_PET = re.compile(
    r"(?<![a-z])(?:dogs?|cats?|pupp(?:y|ies)|kittens?|hamsters?|rabbits?|bunn(?:y|ies)|parrots?|budgies?|hor?ses?|pon(?:y|ies)|goldfish|tortoise|turtle|labradors?|poodles?|terriers?|beagles?|corgis?|guinea pigs?|pets?),?[ ](?:named |called |is |is called )?$",
    re.I,
)
_SAINT = re.compile(r"(?:St\.?|Saint|San|Santa)[ ][A-Z][a-z]+$")
_DISH = re.compile(
    r"(?<![a-z])(?:eggs?|peach(?:es)?|pears?|beef|veal|chicken|sole|lobster|oysters?|bananas?|cr[êe]pes?|salade?|potatoes|pasta|cherries|sauce|cocktail|bloody|shirley|tom|omelette)[ ]$",
    re.I,
)


_SPECIMENS = listed("specimens")
_SPECIMEN_NAMES = frozenset({"john doe", "jane doe", "joe bloggs", "max mustermann", "erika mustermann"})
_CODE = re.compile(
    r"[{}();]\s*$|==|=>|\bdef |\bclass |\b(?:const|let|var|function|assert|print|import|return|INSERT|SELECT) ?\b.*[(={]",
    re.M,
)


@dataclass(frozen=True, slots=True)
class Nobody:
    """What one text is about, as far as it frees names."""

    text: str
    own: bool
    """Does it say something of its writer?"""
    fiction: bool
    exercise: bool
    """A sum, a phrase, the names themselves: whoever is met by one name only is nobody."""
    public: bool
    """Does it name somebody whom everybody knows?"""

    def named(
        self, start: int, end: int, strong: bool = False, titled: bool = False, labelled: bool = False
    ) -> bool:
        """Is the name at text[start:end] nobody's? strong: a title, a label, kin announces it; titled: a
        title does; labelled: a label."""
        text = self.text
        before, tail = text[max(0, start - 64) : start], text[end : end + 48]
        if cues.AFTER_NAME.match(tail) or cues.CONTACT.match(tail):
            return False
        one = " " not in text[start:end]
        if self.fiction and (_OF_FICTION.search(before) or (not self.own and self._invented(before, one))):
            return True
        low = text[start:end].lower()
        if not self.own and self._specimen(low, before, one):
            return True
        if titled and one and not self.own:
            return self.public or (low in public_figures()[1] and low not in latin().rank)
        if one and self.exercise and not labelled:
            return True
        if strong:
            return False
        if _SAINT.match(text, start, end) and not self.own:
            return True
        if one and (_PET.search(before) or _WORD_TAIL.match(tail)):
            return True
        if self.own:
            return False
        if _ARTICLE.search(before) or (self.public and (one or _AT.search(before))):
            return True
        last = low.rpartition(" ")[2]
        if not one and last in public_figures()[1] and last not in latin().rank and last not in latin().given:
            return True
        return self._of_a_thing(before, tail, start, end, one)

    def _specimen(self, low: str, before: str, one: bool) -> bool:
        """One of those who stand in code for anybody: bare in code, whole as the value of an option. A letter to
        Jane Doe is a letter."""
        if one:
            return low in _SPECIMENS and _CODE.search(self.text) is not None
        return low in _SPECIMEN_NAMES and before[-2:] in ('="', "='")

    def _invented(self, before: str, one: bool) -> bool:
        """A character: one name that nothing is written for, or a whole one that a story gives somebody."""
        return _TO.search(before) is None if one else _GIVEN_NAME.search(before) is not None

    def _of_a_thing(self, before: str, tail: str, start: int, end: int, one: bool) -> bool:
        """A firm, a shop, a title in quotes, a dish, somebody beside one whom everybody knows."""
        text = self.text
        if _FIRM_TAIL.match(tail) or _SHOP.match(tail) or (one and _DISH.search(before)):
            return True
        if (
            before.endswith(('"', "“"))
            and tail[:1] in ('"', "”")
            and not re.search(r"[:=,\[({]\s?[\"“]$", before)
        ):
            return True
        for match in (_AMPERSAND_AFTER.match(tail), _AMPERSAND_BEFORE.search(before)):
            if (
                match is not None
                and one
                and (match[1].lower() == text[start:end].lower() or "'s" in text[end : end + 24])
            ):
                return True
        return False


_WORD = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'\-]*")


def _somebody_public(text: str) -> bool:
    """Does a public person's whole name stand in the text, or one by which only they are known?"""
    full, single = public_figures()
    lows = [word.casefold().removesuffix("'s") for word in _WORD.findall(text)]
    return any(
        (
            low in latin().given
            and (" ".join(lows[at : at + 2]) in full or " ".join(lows[at : at + 3]) in full)
        )
        or (low in single and not (low in PLACES or low in latin().given or is_word(low)))
        for at, low in enumerate(lows)
    )


@lru_cache(maxsize=2)
def nobody(text: str) -> Nobody:
    """Read once for each text."""
    if len(text) > _LONGEST:
        return Nobody(text, True, False, False, False)
    plain = _ASKING.sub(" ", _SAID_BY_OTHERS.sub(" ", text))
    own = _OWN.search(plain) is not None
    exercise = (not (own or _MATTERS.search(text))) and (
        (_SUM.search(text) is not None and _AMOUNTS.search(text) is not None)
        or _SAYING.search(text) is not None
        or _NAMING.search(text) is not None
    )
    return Nobody(text, own, _FICTION.search(text) is not None, exercise, not own and _somebody_public(text))
