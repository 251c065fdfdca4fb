"""A teacher's rows as targets for a student that cuts the same response into other tokens.

Both condition on the same text wherever their tokens end at the same byte, and only there is a teacher's
row used. FedMKT's alignment (arXiv:2406.02224) pairs tokens instead and falls back to a one-hot of the
current token; here a place without a partner is masked, since the text itself teaches it.

The approximation that is left: a teacher's token counts for the first token of its bytes in the student's
tokenisation. Where one token is a prefix of another, the student might have spelled the same text with
either; the bytes of the response itself are exempt, they are followed along both tokenisations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.models.knowledge import Rows
from renga.models.vocabulary import Vocabulary

_UNKNOWN, _NONE = -2, -1


@dataclass(frozen=True)
class Targets:
    """What a student should say at the n places of its response (its ids and the end), sparse.

    position, token: int32 [m], sorted by position, then token, no pair twice. probability: float32 [m],
    above 0. tail: float32 [n], the mass that no listed token has. mask: bool [n], true where there is a
    target; elsewhere nothing is listed and the tail is 0. Where mask is true, listed and tail sum to 1.
    mapped_mass: mean over those places of what is listed, thus of the teacher's mass that found a
    counterpart. masked_share: share of the places without a target.
    """

    position: NDArray[np.int32]
    token: NDArray[np.int32]
    probability: NDArray[np.float32]
    tail: NDArray[np.float32]
    mask: NDArray[np.bool_]
    mapped_mass: float
    masked_share: float


class Crosswalk:
    """Teacher id -> first student token of the same bytes, worked out when first asked for, then kept."""

    def __init__(self, teacher: Vocabulary, student: Vocabulary) -> None:
        self.teacher = teacher
        self.student = student
        if teacher.fingerprint == student.fingerprint:
            self._first = np.arange(teacher.size, dtype=np.int32)
            if teacher.end != student.end:  # a base model and its chat model: other specials say other things
                self._first[list(teacher.specials)] = _NONE
        else:
            self._first = np.full(teacher.size, _UNKNOWN, dtype=np.int32)
            self._first[list(teacher.specials)] = _NONE
        self._first[teacher.end] = student.end

    def first(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """For each teacher id the student's token, -1 where there is none: int32, the shape of `ids`.

        Specials but the end have none, nor have bytes that are no text of their own (part of a character).
        """
        asked = np.unique(ids)
        asked = asked[self._first[asked] == _UNKNOWN]
        texts = [_text(self.teacher.token_bytes(id)) for id in asked.tolist()]
        spelled = self.student.attempt_many([text or "" for text in texts])
        self._first[asked] = [found[0] if found else _NONE for found in spelled]
        return self._first[ids]


def align(rows: Rows, teacher: Vocabulary, student: Vocabulary, student_ids: Sequence[int]) -> Targets:
    """`align_many` of one text, with a crosswalk of its own: for many texts keep one `Crosswalk`."""
    return align_many([rows], Crosswalk(teacher, student), [student_ids])[0]


def align_many(
    rows: Sequence[Rows], crosswalk: Crosswalk, student_ids: Sequence[Sequence[int]]
) -> list[Targets]:
    """Targets for each text. student_ids: per text the ids of the response, then `student.end`.

    A student's place has a target where a teacher's row stands at the same byte. Of several rows at one
    byte (tokens without bytes between them) the last counts, and of several such places the last too:
    these two are the ones that go on with the text.

    Listed tokens count for the student tokens that `crosswalk` names, and are summed. The teacher's gold
    token, listed or not, goes along the text: to the student's gold token if it reaches at least as far;
    if the student's reaches farther and ends with some teacher's token, the student's gold token gets the
    product of the gold probabilities up to there; otherwise nothing. All else is tail.
    Raises RengaError when rows and ids spell different texts.
    """
    teacher, student = crosswalk.teacher, crosswalk.student
    _check_texts(rows, teacher, student, student_ids)
    if not rows:
        return []
    t, sid = _all_rows(rows), np.concatenate([np.asarray(ids, dtype=np.int64) for ids in student_ids])
    places = np.array([len(ids) for ids in student_ids])
    s_len = student.lengths()[sid].astype(np.int64)
    # One number says text and byte: keys rise over the whole batch.
    stride = 1 + max(int(r.offsets[-1]) for r in rows)
    row_key = np.repeat(np.arange(len(rows)), [len(r.offsets) for r in rows]) * stride + t.offsets
    starts = np.cumsum(places) - places
    read = np.cumsum(s_len) - s_len
    place_key = np.repeat(np.arange(len(rows)) * stride - read[starts], places) + read

    partner = np.searchsorted(row_key, place_key, side="right") - 1
    mask = row_key[partner] == place_key
    mask[:-1] &= place_key[1:] != place_key[:-1]
    at = np.flatnonzero(mask)
    row = partner[at]

    # Every token that the partner rows list, but gold: which place, which student token, what mass.
    counts = t.counts[row].astype(np.int64)
    begin = np.cumsum(counts) - counts
    entry = np.repeat((np.cumsum(t.counts, dtype=np.int64) - t.counts)[row] - begin, counts)
    entry += np.arange(len(entry))
    of = np.repeat(np.arange(len(at)), counts)
    ids, mass = t.ids[entry], np.exp(t.logp[entry].astype(np.float64))
    token = crosswalk.first(ids).astype(np.int64)
    other = ids != t.gold[row][of]
    gold_mass = np.exp(t.gold_logp[row].astype(np.float64))
    whole = np.bincount(of[other], mass[other], minlength=len(at)) + gold_mass

    # Gold: from each place's row along the text to the end of the student's token.
    path = np.concatenate([[0.0], np.cumsum(t.gold_logp, dtype=np.float64)])
    goal = place_key[at] + s_len[at]
    reach = np.minimum(np.searchsorted(row_key, goal, side="left"), len(row_key) - 1)
    meets = row_key[reach] == goal
    far = teacher.lengths()[t.gold[row]] >= s_len[at]
    follows = far | meets
    gold_share = np.where(far, gold_mass, np.exp(path[reach] - path[row]))

    kept = other & (token >= 0)
    place = np.concatenate([at[of[kept]], at[follows]])
    token = np.concatenate([token[kept], sid[at[follows]]])
    mass = np.concatenate([mass[kept], gold_share[follows]])
    # Coding can bring a row's mass a little above 1.
    mass /= np.maximum(1.0, np.concatenate([whole[of[kept]], whole[follows]]))
    place, token, mass = _summed(place, token, mass, student.size)
    return _split(place, token, mass, mask, starts, places)


def nothing(places: int) -> Targets:
    """Targets of a text that no teacher spoke about."""
    return Targets(
        position=np.zeros(0, np.int32),
        token=np.zeros(0, np.int32),
        probability=np.zeros(0, np.float32),
        tail=np.zeros(places, np.float32),
        mask=np.zeros(places, np.bool_),
        mapped_mass=0.0,
        masked_share=1.0,
    )


def joined(targets: Sequence[Targets]) -> Targets:
    """The targets of several texts as those of one, for a loss on a whole batch: places follow each other.

    One call of `kd_loss` on the batch makes one gradient where a call per text makes one more for each.
    """
    places = np.array([len(t.mask) for t in targets])
    starts = np.cumsum(places) - places
    used = np.array([int(t.mask.sum()) for t in targets])
    return Targets(
        position=np.concatenate(
            [t.position + np.int32(start) for t, start in zip(targets, starts, strict=True)]
        ),
        token=np.concatenate([t.token for t in targets]),
        probability=np.concatenate([t.probability for t in targets]),
        tail=np.concatenate([t.tail for t in targets]),
        mask=np.concatenate([t.mask for t in targets]),
        mapped_mass=float(np.dot(used, [t.mapped_mass for t in targets])) / max(1, int(used.sum())),
        masked_share=1.0 - int(used.sum()) / int(places.sum()),
    )


def _check_texts(
    rows: Sequence[Rows], teacher: Vocabulary, student: Vocabulary, student_ids: Sequence[Sequence[int]]
) -> None:
    if len(rows) != len(student_ids):
        raise ValueError(f"rows of {len(rows)} texts, ids of {len(student_ids)}")
    for i, (r, ids) in enumerate(zip(rows, student_ids, strict=True)):
        gold = r.gold.tolist()
        text = student.bytes_of(ids[:-1])
        if (
            not ids
            or ids[-1] != student.end
            or not gold
            or gold[-1] != teacher.end
            or teacher.bytes_of(gold[:-1]) != text
            or r.offsets[0] != 0
            or r.offsets[-1] != len(text)
            or not np.array_equal(np.diff(r.offsets), teacher.lengths()[r.gold[:-1]])
        ):
            raise RengaError(
                f"text {i}: the teacher's rows and the student's ids are of different responses",
                hint="both tokenise the whole response on its own, and end it with their end token",
            )


def _all_rows(rows: Sequence[Rows]) -> Rows:
    """The rows of all texts, one after the other; their offsets start anew with every text."""
    fields = ("offsets", "gold", "gold_logp", "counts", "ids", "logp")
    return Rows(*(np.concatenate([getattr(r, field) for r in rows]) for field in fields))


def _summed(
    place: NDArray[np.int64], token: NDArray[np.int64], mass: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Entries sorted by place and token, those of the same pair added up, those of no mass left out."""
    key = place * size + token
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    mass = np.add.reduceat(mass[order], first) if len(first) else mass[:0]
    key = key[first]
    some = mass >= np.finfo(np.float32).tiny
    return key[some] // size, key[some] % size, mass[some]


def _split(
    place: NDArray[np.int64],
    token: NDArray[np.int64],
    mass: NDArray[np.float64],
    mask: NDArray[np.bool_],
    starts: NDArray[np.int64],
    places: NDArray[np.int64],
) -> list[Targets]:
    listed = np.bincount(place, mass, minlength=len(mask))
    tail = np.where(mask, np.maximum(0.0, 1.0 - listed), 0.0).astype(np.float32)
    ends = starts + places
    lows, highs = np.searchsorted(place, starts), np.searchsorted(place, ends)
    result = []
    for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
        aligned = int(mask[start:end].sum())
        result.append(
            Targets(
                position=(place[low:high] - start).astype(np.int32),
                token=token[low:high].astype(np.int32),
                probability=mass[low:high].astype(np.float32),
                tail=tail[start:end],
                mask=mask[start:end],
                mapped_mass=float(listed[start:end].sum()) / max(1, aligned),
                masked_share=1.0 - aligned / int(end - start),
            )
        )
    return result


def _text(bytes_: bytes) -> str | None:
    try:
        return bytes_.decode()
    except UnicodeDecodeError:
        return None
