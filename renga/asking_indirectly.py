"""Asking so that the question itself stays here: word by word at random, or rewritten by the edge model.

What leaves is sanitised all the same. The edge model then answers the person's own question with the other
answer before it: what it alone knows (the question as it was) it merges with what came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random, SystemRandom

import numpy as np

from renga.asking_alone import standing_alone
from renga.asking_less import ENOUGH, asked_for, asked_from, kept
from renga.client.dialogue import Until
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.names_inside import is_word
from renga.client.sanitisation.private_words import Mechanism, Vector, unit
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.errors import RengaError
from renga.models.contract import Prompt, Said, Sampling
from renga.models.generate import answer, respond
from renga.models.local import LocalModel

Write = Callable[[str], None]

REWRITE = "Rewrite this as a general question, without names, numbers or places: "
_EXAMPLES = (
    (
        "I am Paul Reed of Leeds, and my boss Ann Wood fired me by text on Friday. Can she do that?",
        "Can an employer dismiss an employee by text message?",
    ),
    (
        "Dr Kim gave me 20 mg of lisinopril and now I cough all night. Is this normal?",
        "Is a cough a common side effect of lisinopril?",
    ),
    (
        "Ann Wood, 555-0101, rides a horse to the sea. How many legs does it have?",
        "How many legs does a horse have?",
    ),
    (
        "My uncle Tom Hill of Leeds knows the capital of Norway. Do you?",
        "What is the capital of Norway?",
    ),
    (
        "Please write an e-mail to Tom Hill, 555-0101, that our meeting on 3 May is off.",
        "How does one write an e-mail that cancels a meeting?",
    ),
)
"""A small model that is told to rewrite a request answers it; shown how, it rewrites."""
TRIES = 4
WARMTH = 0.7  # of the second try and later ones
USE = "Use what is right in it, and answer."
MERGE = "{question}\n\nSomebody answered a similar question like this:\n{answer}\n\n" + USE
_MERGED = (
    (
        "I am Paul Reed and my aunt Eva asks which city is the capital of Norway. Do you know?",
        "The capital of Norway is Oslo.",
        "The capital of Norway is Oslo.",
    ),
    (
        "Ann Wood, 555-0101, bets that a spider has six legs. Is she right?",
        "A spider has eight legs.",
        "No, Ann is not right: a spider has eight legs.",
    ),
)
"""Only told, it talks about the answer; shown how, it answers."""
MOST_WORDS = 128
WORDS_OF_ENGLISH = 500
"""So many words of English in a vocabulary make it one of English."""


def ask_indirectly(
    edge: LocalModel,
    leaving: Callable[[str], str],
    answered: Callable[[str, Write], None],
    text: str,
    sampling: Sampling,
    desk: Desk,
    write: Write,
    *,
    by_chance: bool = False,
) -> str:
    """Have what is `leaving` instead of `text` `answered` elsewhere, and the answer merged here.

    A question that stands by itself beside an introduction leaves as it is, and its answer is the answer.
    by_chance: what leaves was drawn, and nothing that depends on `text` may be done to it any more.

    Returns what left. Raises RengaError if nothing can leave, DetectionFailed, Blocked, and what `answered`
    raises.
    """
    sanitiser = desk.sanitiser(None)
    sanitiser.sanitise(text)  # so that what is private in it is known, and found again in what leaves
    alone = None if by_chance else standing_alone(text, sanitiser)
    if by_chance:  # were known values marked in what was drawn, the marks would tell them
        sanitiser = desk.sanitiser(None)
        instead = sanitiser.sanitise(leaving(text)).text
    else:
        instead = sanitiser.sanitise(alone or _asking_less(text, leaving, sanitiser)).text
    if not instead.strip():
        raise RengaError("nothing is left to ask; nothing was sent", hint="ask without it, or in other words")
    came: list[str] = []
    answered(instead, came.append)
    restored = "".join(sanitiser.restore(["".join(came)]))
    if alone:
        write(restored.strip() + "\n")
        return instead
    until = Until((f"\n{USE}",))  # which a small model likes to repeat
    for piece in respond(edge, merging(text, restored.strip()), sampling):
        if said := until.feed(piece.text):
            write(said)
        if until.over:
            break
    write(until.feed("", final=True) + "\n")
    return instead


def _asking_less(text: str, leaving: Callable[[str], str], sanitiser: Sanitiser) -> str:
    """What is asked, by itself where grammar shows it; else the rewrite of some that keeps most of it, and
    rather one that tells nothing private; what is asked as it was written if all of them lose it."""
    found = sanitiser.find(text)
    if question := asked_for(text, found):
        return question
    best = (-1.0, True, "")
    for _ in range(TRIES):
        if not (written := leaving(text)).strip():
            continue
        keeps, tells = kept(text, found, written), bool(sanitiser.find(written))
        if not tells and keeps >= ENOUGH:
            return written
        best = max(best, (keeps, not tells, written))
    return text[asked_from(text, found) :] if 0 <= best[0] < ENOUGH else best[2]


def merging(question: str, answer: str) -> Prompt:
    """What the edge is asked: the person's own question, with the other answer before it."""
    shown = tuple(
        said
        for asked, came, merged in _MERGED
        for said in (Said("user", MERGE.format(question=asked, answer=came)), Said("assistant", merged))
    )
    return Prompt(MERGE.format(question=question, answer=answer), before=shown)


def rewritten(edge: LocalModel, sampling: Sampling) -> Callable[[str], str]:
    """By the edge model, which is asked for a question that says less (as in PAPILLON, NAACL 2025); asked
    again, it is sampled."""

    shown = tuple(
        said
        for asked, general in _EXAMPLES
        for said in (Said("user", REWRITE + asked), Said("assistant", general))
    )
    tried = count()

    def leaving(text: str) -> str:
        again = next(tried)
        how = replace(sampling, temperature=WARMTH, seed=sampling.seed + again) if again else sampling
        written = answer(edge, Prompt(REWRITE + text, before=shown), how).strip()
        return written.partition("\n")[0]

    return leaving


def drawn_words(
    edge: LocalModel, epsilon: float, tell: Write, random: Random | None = None
) -> Callable[[str], str]:
    """Word by word, near in the edge model's embeddings; `tell` gets what it claims."""
    words, vectors = word_vectors(edge)
    mechanism, dice = Mechanism(words, vectors, epsilon), random or SystemRandom()

    def leaving(text: str) -> str:
        made = mechanism.perturb(text, lambda word: vector_of(edge, word), dice)
        tell(
            f"{made.words} words drawn at random, each {epsilon:g}-private per unit of distance: together at "
            f"most epsilon = {made.epsilon:g}; their number and the marks between them are not hidden"
        )
        return made.text

    return leaving


def word_vectors(edge: LocalModel) -> tuple[list[str], Vector]:
    """The outcomes: lower-case words of the vocabulary, which depends on no text, and their vectors. Pieces
    of words are left out where the vocabulary has words of English."""
    vocabulary, table = edge.vocabulary, _table(edge)
    found: dict[str, int] = {}
    for id in range(vocabulary.size):
        spelled = vocabulary.token_bytes(id)
        word = spelled.strip().decode("ascii", "ignore")
        if spelled == f" {word}".encode() and len(word) > 1 and word.isalpha() and word.islower():
            found.setdefault(word, id)
    whole = {word: id for word, id in found.items() if is_word(word)}
    found = whole if len(whole) > WORDS_OF_ENGLISH else found
    if len(found) < 2:
        raise RengaError("the edge model's vocabulary has no whole words to draw from")
    return list(found), np.stack([unit(table[id]) for id in found.values()])


def vector_of(edge: LocalModel, word: str) -> Vector:
    """The mean of the embeddings of a word's tokens, of length 1."""
    ids = edge.vocabulary.encode(f" {word.lower()}"[:MOST_WORDS])
    return unit(_table(edge)[ids].mean(axis=0))


def _table(edge: LocalModel) -> Vector:
    weights: Vector = edge.weights.model.get_input_embeddings().weight.detach().double().numpy()
    return weights
