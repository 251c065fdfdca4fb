"""A teacher's rows in a student's tokens: against a slow oracle, and against what others get wrong."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError
from renga.models.alignment import Crosswalk, Targets, align, align_many
from renga.models.knowledge import Rows, rows_from_logits
from tests.models.tiny_tokenizers import CORPUS, texts, vocabulary, worded

KINDS = ("bytes-small", "bytes-large", "bytes-composing", "metaspace", "unigram")
PAIRS = pytest.mark.parametrize(("teacher", "student"), [(a, b) for a in KINDS for b in KINDS])


def student_ids(vocabulary, text):
    return [*vocabulary.encode(text), vocabulary.end]


def rows_of(vocabulary, text, seed=0, top_k=8, floor=1e-4, sharpness=3.0):
    """Rows of a model that knows nothing; the gold token is likely in about half of them."""
    gold = [*vocabulary.encode(text), vocabulary.end]
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(gold), vocabulary.size, generator=generator) * sharpness
    boost = torch.rand(len(gold), generator=generator) * 8 * sharpness
    logits[torch.arange(len(gold)), torch.tensor(gold)] += boost * (torch.arange(len(gold)) % 2)
    return rows_from_logits(logits, gold, vocabulary, top_k, floor)


def certain(vocabulary, text):
    """Rows of a model that knows the text: all mass on gold."""
    gold = np.array([*vocabulary.encode(text), vocabulary.end], dtype=np.int32)
    zeros = np.zeros(len(gold), dtype=np.float32)
    steps = vocabulary.lengths()[gold[:-1]]
    offsets = np.concatenate([[0], np.cumsum(steps)]).astype(np.int32)
    return Rows(offsets, gold, zeros, np.ones(len(gold), dtype=np.int32), gold, zeros)


def as_dicts(targets):
    """Per place {token: probability}, or None where masked."""
    result: list[dict[int, float] | None] = [{} if used else None for used in targets.mask]
    for place, token, p in zip(targets.position, targets.token, targets.probability, strict=True):
        row = result[place]
        assert row is not None, "a masked place has an entry"
        row[int(token)] = float(p)
    return result


def slow_align(rows, teacher, student, ids, wrong=""):
    """The rules, place by place and token by token. `wrong` breaks one of them."""
    text = student.bytes_of(ids[:-1])
    ends = np.cumsum(rows.counts)
    result: list[dict[int, float] | None] = []
    for i in range(len(ids)):
        read = len(student.bytes_of(ids[:i]))
        here = [j for j, offset in enumerate(rows.offsets) if offset == read]
        later = [k for k in range(i + 1, len(ids)) if len(student.bytes_of(ids[:k])) == read]
        if not here or later:
            result.append({ids[i - 1]: 1.0} if wrong == "current token" else None)
            continue
        j = here[-1]
        if wrong == "one row late":
            j = max(0, j - 1)
        listed = range(ends[j] - rows.counts[j], ends[j])
        masses = {int(rows.ids[k]): float(np.exp(np.float64(rows.logp[k]))) for k in listed}
        gold = int(rows.gold[j])
        masses[gold] = float(np.exp(np.float64(rows.gold_logp[j])))
        scale = max(1.0, sum(masses.values()))
        row: dict[int, float] = {}
        for token, mass in masses.items():
            if token == gold:
                goes, mass = follow(rows, teacher, student, i, j, ids, read, text, mass, wrong)
            elif token == teacher.end:
                goes = student.end
            elif teacher.fingerprint == student.fingerprint:
                goes = token if token not in teacher.specials or teacher.end == student.end else None
            else:
                goes = first_token(teacher.token_bytes(token), student)
            if goes is not None and not (wrong == "first wins" and goes in row):
                row[goes] = row.get(goes, 0.0) + mass / scale
        result.append(row)
    return result


def follow(rows, teacher, student, i, j, ids, read, text, mass, wrong):
    """Where the gold token's mass goes, and how much of it."""
    own = student.token_bytes(ids[i])
    gold = teacher.token_bytes(int(rows.gold[j]))
    assert wrong or text[read:].startswith(own)
    if gold.startswith(own):
        return ids[i], mass
    if wrong in ("gold to its first token", "one row late"):
        return first_token(gold, student), mass
    spelled, logp = b"", 0.0
    for k in range(j, len(rows.gold)):
        spelled += teacher.token_bytes(int(rows.gold[k]))
        logp += float(rows.gold_logp[k])
        if spelled == own:
            return ids[i], float(np.exp(logp))
    return None, 0.0


def first_token(bytes_, student):
    try:
        return student.encode(bytes_.decode())[0] if bytes_ else None
    except (UnicodeDecodeError, RengaError):
        return None


def assert_same(targets, expected):
    got = as_dicts(targets)
    assert len(got) == len(expected)
    for place, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert (a is None) == (b is None), place
        if a is not None and b is not None:
            # A long path's product may be where float32 ends.
            a, b = ({token: p for token, p in row.items() if p > 1e-30} for row in (a, b))
            assert a.keys() == b.keys(), place
            assert a == pytest.approx(b, abs=1e-6), place


def assert_well_formed(targets, student, n):
    assert isinstance(targets, Targets)
    assert targets.mask.shape == targets.tail.shape == (n,)
    kinds = {"position": np.int32, "token": np.int32, "probability": np.float32, "tail": np.float32}
    assert all(getattr(targets, name).dtype == np.dtype(kind) for name, kind in kinds.items())
    key = targets.position.astype(np.int64) * student.size + targets.token
    assert (np.diff(key) > 0).all()  # canonical order, no pair twice
    assert (targets.probability > 0).all()
    listed = np.bincount(targets.position, targets.probability, minlength=n)
    assert listed + targets.tail == pytest.approx(targets.mask.astype(float), abs=1e-5)
    assert targets.masked_share == pytest.approx(1 - targets.mask.mean())
    assert targets.mapped_mass == pytest.approx(listed[targets.mask].mean(), abs=1e-5)


@PAIRS
@settings(max_examples=8, deadline=None)
@given(text=texts().filter(lambda t: len(t) < 300), seed=st.integers(0, 1000))
def test_align_is_the_slow_oracle(teacher, student, text, seed):
    t, s = vocabulary(teacher), vocabulary(student)
    rows, ids = rows_of(t, text, seed), student_ids(s, text)
    targets = align(rows, t, s, ids)
    assert_well_formed(targets, s, len(ids))
    assert_same(targets, slow_align(rows, t, s, ids))


@PAIRS
@settings(max_examples=8, deadline=None)
@given(text=texts())
def test_a_teacher_that_knows_the_text_teaches_only_the_true_next_token(teacher, student, text):
    t, s = vocabulary(teacher), vocabulary(student)
    ids = student_ids(s, text)
    targets = align(certain(t, text), t, s, ids)
    for place, row in enumerate(as_dicts(targets)):
        assert row is None or row == {} or row == pytest.approx({ids[place]: 1.0})
    assert targets.mask[0]
    assert targets.mask[-1]
    assert as_dicts(targets)[-1] == {s.end: 1.0}


# FedMKT's published alignment gives " util" after " util" and "ize" after "ize" here.
WORKED = "we utilize the tokens"
STUDENT = ("we", " util", "ize", " the", " tokens")
TEACHER = ("we", " utilize", " the", " tokens")


def pieces(vocabulary, ids):
    return [vocabulary.token_bytes(id).decode() for id in ids]


def test_the_worked_example_has_the_right_next_token_everywhere_or_none():
    t, s = worded(*TEACHER), worded(*STUDENT)
    ids = student_ids(s, WORKED)
    assert pieces(s, ids[:-1]) == list(STUDENT)
    assert pieces(t, t.encode(WORKED)) == list(TEACHER)
    got = as_dicts(align(certain(t, WORKED), t, s, ids))
    # behind nothing, "we", " util", "ize", " the", " tokens"
    assert got == [{ids[0]: 1.0}, {ids[1]: 1.0}, None, {ids[3]: 1.0}, {ids[4]: 1.0}, {s.end: 1.0}]
    # and the other way round the teacher is the finer one: its path is followed
    ids = student_ids(t, WORKED)
    got = as_dicts(align(certain(s, WORKED), s, t, ids))
    assert got == [{token: 1.0} for token in ids]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("current token", WORKED),
        ("one row late", WORKED),
        ("first wins", WORKED),
        ("gold to its first token", "we utilize"),
    ],
)
def test_the_oracle_tells_wrong_variants_apart(wrong, text):
    t, s = worded(*TEACHER), worded(*STUDENT)
    if wrong in ("gold to its first token", "one row late"):
        t, s = s, t
    seen_different = False
    for seed in range(30):
        rows, ids = rows_of(t, text, seed, top_k=40), student_ids(s, text)
        targets = align(rows, t, s, ids)
        assert_same(targets, slow_align(rows, t, s, ids))
        try:
            assert_same(targets, slow_align(rows, t, s, ids, wrong))
        except AssertionError:
            seen_different = True
    assert seen_different


@pytest.mark.parametrize("wrong", ["current token", "one row late"])
def test_wrong_variants_teach_wrong_tokens_on_the_worked_example(wrong):
    """The property that ours has is one that FedMKT's fallback and a shifted row have not."""
    t, s = worded(*TEACHER), worded(*STUDENT)
    ids = student_ids(s, WORKED)
    got = slow_align(certain(t, WORKED), t, s, ids, wrong)
    assert any(row is not None and set(row) - {ids[i]} for i, row in enumerate(got))


def hand_made(vocabulary, text, lists, gold_logp):
    """Rows with the given lists: per row {piece or "<end>": probability}, falling."""
    id_of = {vocabulary.token_bytes(id): id for id in reversed(range(vocabulary.size))}
    id_of[b"<end>"] = vocabulary.end
    rows = certain(vocabulary, text)
    flat = [
        (id_of[piece.encode()], p)
        for row in lists
        for piece, p in sorted(row.items(), key=lambda item: -item[1])
    ]
    return replace(
        rows,
        gold_logp=np.log(np.array(gold_logp, dtype=np.float32)),
        counts=np.array([len(row) for row in lists], dtype=np.int32),
        ids=np.array([id for id, _ in flat], dtype=np.int32),
        logp=np.log(np.array([p for _, p in flat], dtype=np.float32)),
    )


def test_mass_of_a_coarser_teacher_is_summed_into_the_first_token():
    t = worded(" utilize", " utility", " use")
    s = worded(" util", "ize", "ity", " us")
    text = " utilize"
    rows = hand_made(t, text, [{" utilize": 0.5, " utility": 0.3, " use": 0.1}, {"<end>": 0.9}], [0.5, 0.9])
    ids = student_ids(s, text)
    targets = align(rows, t, s, ids)
    assert pieces(s, ids[:-1]) == [" util", "ize"]
    use = s.encode(" use")[0]
    assert as_dicts(targets) == [
        pytest.approx({ids[0]: 0.8, use: 0.1}),
        None,
        pytest.approx({s.end: 0.9}),
    ]
    assert targets.tail == pytest.approx([0.1, 0.0, 0.1], abs=1e-6)
    assert targets.mapped_mass == pytest.approx(0.9)
    assert targets.masked_share == pytest.approx(1 / 3)


def test_a_finer_teacher_gives_the_product_along_the_text():
    t = worded(" util", "ize", " the")
    s = worded(" utilize", " util", " the")
    text = " utilize the"
    lists = [{" util": 0.6, " the": 0.2}, {"ize": 0.5}, {" the": 0.7}, {"<end>": 1.0}]
    rows = hand_made(t, text, lists, [0.6, 0.5, 0.7, 1.0])
    ids = student_ids(s, text)
    targets = align(rows, t, s, ids)
    assert pieces(s, ids[:-1]) == [" utilize", " the"]
    # " util" of the teacher is on the way to " utilize": 0.3 of it arrives, the other 0.3 is tail
    assert as_dicts(targets)[0] == pytest.approx({ids[0]: 0.3, ids[1]: 0.2})
    assert targets.tail == pytest.approx([0.5, 0.3, 0.0], abs=1e-6)


def test_gold_on_a_path_that_never_meets_goes_to_the_tail():
    t = worded("ab", "cd")  # ab cd
    s = worded("abc")  # abc d
    rows = hand_made(t, "abcd", [{"ab": 0.7, "cd": 0.2}, {"cd": 0.9}, {"<end>": 1.0}], [0.7, 0.9, 1.0])
    ids = student_ids(s, "abcd")
    assert pieces(s, ids[:-1]) == ["abc", "d"]
    targets = align(rows, t, s, ids)
    assert as_dicts(targets) == [pytest.approx({s.encode("cd")[0]: 0.2}), None, {s.end: 1.0}]
    assert targets.tail == pytest.approx([0.8, 0, 0], abs=1e-6)


def test_an_unlisted_gold_token_still_counts():
    v, s = worded(" the"), worded(" the", " they")
    rows = hand_made(v, " the", [{"a": 0.9}, {"<end>": 1.0}], [0.04, 1.0])
    targets = align(rows, v, s, student_ids(s, " the"))
    assert as_dicts(targets)[0] == pytest.approx({s.encode("a")[0]: 0.9, s.encode(" the")[0]: 0.04})
    assert targets.tail[0] == pytest.approx(0.06, abs=1e-6)


def test_specials_and_pieces_of_characters_go_to_the_tail_unless_the_text_says_so():
    t, s = worded(), worded("é")
    e_acute, start = t.encode("é"), 0
    assert len(e_acute) == 2
    assert t.token_bytes(start) == b""
    rows = hand_made(t, "é", [{}, {}, {"<end>": 0.8}], [0.5, 0.5, 0.8])
    other = t.encode("è")[1]  # a continuation byte
    rows = replace(
        rows,
        counts=np.array([3, 1, 1], dtype=np.int32),
        ids=np.array([e_acute[0], start, other, e_acute[1], t.end], dtype=np.int32),
        logp=np.log(np.array([0.5, 0.2, 0.1, 0.5, 0.8], dtype=np.float32)),
    )
    targets = align(rows, t, s, student_ids(s, "é"))
    assert as_dicts(targets)[0] == pytest.approx({s.encode("é")[0]: 0.25})
    assert targets.tail[0] == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_vocabulary_is_the_identity(kind):
    v = vocabulary(kind)
    for text in CORPUS[:6]:
        rows = rows_of(v, text, seed=len(text))
        targets = align(rows, v, vocabulary(kind), student_ids(v, text))
        assert targets.mask.all()
        ends = np.cumsum(rows.counts)
        for j, row in enumerate(as_dicts(targets)):
            listed = slice(ends[j] - rows.counts[j], ends[j])
            expected = dict(zip(rows.ids[listed].tolist(), np.exp(rows.logp[listed]).tolist(), strict=True))
            expected.setdefault(int(rows.gold[j]), float(np.exp(rows.gold_logp[j])))
            assert row == pytest.approx(expected, abs=1e-6)


def test_two_ends_of_one_vocabulary_meet():
    """A base model ends with end of text, its chat model with end of turn: same ids, other ends."""
    from renga.models.vocabulary import Vocabulary

    base = vocabulary("bytes-small")
    chat = Vocabulary(base._tokenizer, 0)
    assert chat.fingerprint == base.fingerprint
    rows = hand_made(base, "ab", [{"a": 1.0}, {"b": 1.0}, {"<end>": 0.6}], [1.0, 1.0, 0.6])
    targets = align(rows, base, chat, student_ids(chat, "ab"))
    assert as_dicts(targets)[-1] == pytest.approx({chat.end: 0.6})


def test_of_rows_and_places_at_one_byte_the_last_counts():
    """A special token inside an answer has no bytes: what comes behind it goes on with the text."""
    v = worded("ab", "cd")
    start = 0
    plain, ids = certain(v, "abcd"), student_ids(v, "abcd")
    gold = np.array([plain.gold[0], start, *plain.gold[1:]], dtype=np.int32)
    rows = Rows(
        offsets=np.array([0, 2, 2, 4], dtype=np.int32),
        gold=gold,
        gold_logp=np.log(np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)),
        counts=np.ones(4, dtype=np.int32),
        ids=gold,
        logp=np.log(np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)),
    )
    got = as_dicts(align(rows, v, v, ids))
    assert got == [pytest.approx({token: p}) for token, p in zip(ids, (0.9, 0.7, 0.6), strict=True)]
    got = as_dicts(align(plain, v, v, [ids[0], start, *ids[1:]]))
    assert got == [{ids[0]: 1.0}, None, {ids[1]: 1.0}, {ids[2]: 1.0}]


@PAIRS
def test_many_texts_at_once_are_each_alone(teacher, student):
    t, s = vocabulary(teacher), vocabulary(student)
    several = ["", *CORPUS[:6], "a", "", "the fox"]
    rows = [rows_of(t, text, seed) for seed, text in enumerate(several)]
    ids = [student_ids(s, text) for text in several]
    walk = Crosswalk(t, s)
    for together, r, i in zip(align_many(rows, walk, ids), rows, ids, strict=True):
        alone = align(r, t, s, i)
        for field in ("position", "token", "probability", "tail", "mask"):
            np.testing.assert_array_equal(getattr(together, field), getattr(alone, field))
        assert together.mapped_mass == pytest.approx(alone.mapped_mass)
        assert together.masked_share == alone.masked_share
    assert align_many([], walk, []) == []


@PAIRS
def test_a_crosswalk_leads_to_the_first_token(teacher, student):
    t, s = vocabulary(teacher), vocabulary(student)
    ids = np.arange(t.size, dtype=np.int32)
    lazily, at_once = Crosswalk(t, s), Crosswalk(t, s).first(ids)
    for id in np.random.default_rng(0).permutation(t.size)[:40].tolist():
        assert lazily.first(np.array([id], dtype=np.int32))[0] == at_once[id]
    for id in range(t.size):
        if id == t.end:
            expected = s.end
        elif teacher == student:
            expected = id
        else:
            found = first_token(t.token_bytes(id), s)
            expected = -1 if found is None else found
        assert at_once[id] == expected


def test_rows_and_ids_of_different_texts_are_refused():
    t, s = vocabulary("bytes-small"), vocabulary("metaspace")
    rows = rows_of(t, "the fox")
    for ids in (student_ids(s, "the dog"), s.encode("the fox"), [], student_ids(s, "the fo")):
        with pytest.raises(RengaError, match="different responses"):
            align(rows, t, s, ids)
    with pytest.raises(RengaError, match="different responses"):
        align(replace(rows, offsets=rows.offsets + 1), t, s, student_ids(s, "the fox"))


def test_a_row_whose_code_sums_to_more_than_one_is_brought_back():
    v = worded("ab")
    rows = hand_made(v, "ab", [{"ab": 0.7, "a": 0.31}, {"<end>": 1.0}], [0.7, 1.0])
    targets = align(rows, v, v, student_ids(v, "ab"))
    assert_well_formed(targets, v, 2)
    assert targets.tail[0] == 0


def test_alignment_does_not_loop_over_tokens():
    """10,000 rows of 16 in well under a second: a loop over rows and tokens would take several."""
    t, s = vocabulary("bytes-small"), vocabulary("metaspace")
    text = (CORPUS[0] + CORPUS[1]) * 5
    rows, ids = rows_of(t, text, top_k=16), student_ids(s, text)
    walk = Crosswalk(t, s)
    count = 10_000 // len(rows.offsets) + 1
    align_many([rows], walk, [ids])
    start = time.perf_counter()
    align_many([rows] * count, walk, [ids] * count)
    assert time.perf_counter() - start < 1.5


@pytest.mark.real
@pytest.mark.parametrize("swap", [False, True])
def test_smollm_and_gemma_teach_each_other_the_true_next_token(swap):
    from renga.models.references import load_tokenizer
    from renga.models.vocabulary import Vocabulary

    smol, gemma = load_tokenizer("SmolLM2-135M-Instruct"), load_tokenizer("gemma-3-270m")
    t, s = Vocabulary(smol, smol.eos_token_id), Vocabulary(gemma, gemma.eos_token_id)
    if swap:
        t, s = s, t
    walk = Crosswalk(t, s)
    several = [*CORPUS[:6], "  12 + 34 = 46\n\n\n\nnext", " " * 40 + "x", "", "🏳️‍🌈 नमस्ते"]
    ids = [student_ids(s, text) for text in several]
    for targets, own in zip(align_many([certain(t, text) for text in several], walk, ids), ids, strict=True):
        for place, row in enumerate(as_dicts(targets)):
            assert row is None or row == {} or row == pytest.approx({own[place]: 1.0})
    rows = [rows_of(t, text, seed, top_k=4, sharpness=6) for seed, text in enumerate(several)]
    for targets, r, own in zip(align_many(rows, walk, ids), rows, ids, strict=True):
        assert_well_formed(targets, s, len(own))
        assert_same(targets, slow_align(r, t, s, own))
    english = align(certain(t, CORPUS[1]), t, s, student_ids(s, CORPUS[1]))
    assert english.masked_share < 0.2
    assert english.mapped_mass > 0.9
