"""The index finds what its formula says, changes in place, and says when it is broken or in use."""

import math
import sqlite3
import stat
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError, UsageError
from renga.models.cooperation.dense import MeanStates, Shared, TokenVectors, unit
from renga.models.cooperation.documents import Document
from renga.models.cooperation.index import Changes, PassageIndex, fused
from renga.models.cooperation.spans import tokens
from renga.models.local import LocalModel
from tests.models.tiny_weights import random_adapter, tiny

FERRIES = Document("ferries.md", "The ferry to Brandsund leaves at nine.\nTickets are sold on the quay.")
MINES = Document("mines.md", "The copper mine at Lund closed in 1926.\nIts shafts are under water.")
WEATHER = Document("weather.md", "Rain falls on Brandsund on most days.")


class Letters:
    """Vectors that count letters; says how often it was asked."""

    def __init__(self, fingerprint="letters"):
        self.fingerprint = fingerprint
        self.texts = 0

    def embed(self, texts):
        self.texts += len(texts)
        counts = [[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        return unit(np.array(counts, np.float32).reshape(len(texts), 26))


def bm25(question, texts, k1=1.5, b=0.75):
    """The formula, written out; every score lacks a constant factor k1 + 1."""
    cut = [tokens(text) for text in texts]
    mean = sum(map(len, cut)) / len(cut)
    scores = [0.0] * len(cut)
    for word in tokens(question):
        df = sum(word in doc for doc in cut)
        idf = math.log(1 + (len(cut) - df + 0.5) / (df + 0.5))
        for i, doc in enumerate(cut):
            tf = Counter(doc)[word]
            scores[i] += idf * tf / (tf + k1 * (1 - b + b * len(doc) / mean))
    return scores


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(alphabet="abc ", min_size=1, max_size=20), min_size=1, max_size=6),
    st.text(alphabet="abcd ", max_size=10),
)
def test_by_words_it_is_bm25(texts, question):
    texts = [" ".join(text) for text in texts]
    texts = [text for text in texts if tokens(text)]
    index = PassageIndex()
    index.update([Document(f"{i:02}", text) for i, text in enumerate(texts)])
    scores = bm25(question, texts) if texts else []
    found = {int(h.passage.citation.source): h.score for h in index.search(question, 99, "words")}
    assert found == pytest.approx({i: s for i, s in enumerate(scores) if s > 0}, rel=1e-4)


def test_reciprocal_ranks():
    found = fused([[3, 1], [1, 2]])
    assert [place for place, _ in found] == [1, 3, 2]
    assert [score for _, score in found] == pytest.approx([1 / 61 + 1 / 62, 1 / 61, 1 / 62])
    assert fused([]) == []


def test_vectors_find_what_words_miss():
    index = PassageIndex(embedder=Letters())
    index.update([FERRIES, MINES])
    assert (
        index.search("ferrys brandsunds leaved nines ticketed saled quays", 1, "vectors")[
            0
        ].passage.citation.source
        == "ferries.md"
    )
    assert index.search("zzz", 4, "words") == []
    assert len(index.search("zzz", 4, "both")) == 2


def test_an_update_reads_what_has_changed_and_nothing_else(tmp_path):
    embedder = Letters()
    index = PassageIndex(tmp_path / "i.db", embedder)
    assert index.update([FERRIES, MINES]) == Changes(added=2)
    seen = embedder.texts
    assert index.update([FERRIES, MINES]) == Changes(kept=2)
    assert embedder.texts == seen
    changed = Document("mines.md", "The copper mine at Lund opened again.")
    assert index.update([changed, WEATHER]) == Changes(added=1, changed=1)
    assert embedder.texts == seen + 2
    assert index.search("1926", 4, "words") == []
    assert index.search("opened again", 1, "words")[0].passage.text == changed.text
    assert index.update([WEATHER], complete=True) == Changes(removed=2, kept=1)
    index.close()
    again = PassageIndex(tmp_path / "i.db", embedder)
    assert [h.passage.citation.source for h in again.search("Brandsund", 4)] == ["weather.md"]
    assert stat.S_IMODE((tmp_path / "i.db").stat().st_mode) == 0o600


def test_updated_in_place_it_is_the_index_made_at_once():
    step, whole = PassageIndex(embedder=Letters()), PassageIndex(embedder=Letters())
    step.update([WEATHER, Document("mines.md", "old")])
    step.update([MINES])
    step.update([FERRIES])
    whole.update([FERRIES, MINES, WEATHER])
    assert step.search("the mine at Brandsund", 9) == whole.search("the mine at Brandsund", 9)


def test_an_empty_index_finds_nothing():
    index = PassageIndex(embedder=Letters())
    assert index.search("x") == []
    index.update([Document("a", " \n ")])
    assert len(index) == 0 and index.search("x") == []
    index.update([Document("b", "?!")])
    assert index.search("x", how="words") == [] and index.search("") != []


def test_a_broken_index_says_so(tmp_path):
    path = tmp_path / "i.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(RengaError, match="broken index") as caught:
        PassageIndex(path)
    assert "build it again" in caught.value.hint
    path.unlink()
    index = PassageIndex(path)
    index.update([FERRIES] + [Document(str(i), f"text {i} " * 50) for i in range(40)])
    index.close()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 :] = b"\x5a" * (len(raw) - len(raw) // 2)
    path.write_bytes(raw)
    with pytest.raises(RengaError, match="broken index"):
        PassageIndex(path)


def test_what_is_no_index_of_ours_stays_as_it_is(tmp_path):
    other = sqlite3.connect(tmp_path / "o.db")
    other.executescript("CREATE TABLE passages (x); INSERT INTO passages VALUES (1);")
    with pytest.raises(RengaError, match="not one of ours"):
        PassageIndex(tmp_path / "o.db")
    assert other.execute("SELECT x FROM passages").fetchall() == [(1,)]


def test_a_locked_index_says_so(tmp_path, monkeypatch):
    index = PassageIndex(tmp_path / "i.db")
    holder = sqlite3.connect(tmp_path / "i.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    index._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(RengaError, match="in use by another process"):
        index.update([FERRIES])
    holder.execute("ROLLBACK")
    assert index.update([FERRIES]) == Changes(added=1)


def test_vectors_of_another_model_are_refused(tmp_path):
    PassageIndex(tmp_path / "i.db", Letters()).update([FERRIES])
    with pytest.raises(UsageError, match="another model's"):
        PassageIndex(tmp_path / "i.db", Letters("others"))
    PassageIndex(tmp_path / "w.db").update([FERRIES])
    with pytest.raises(UsageError, match="without vectors"):
        PassageIndex(tmp_path / "w.db", Letters())
    with pytest.raises(UsageError, match="no vectors"):
        PassageIndex(tmp_path / "w.db").search("x", how="vectors")


def test_mean_states_do_not_depend_on_who_stands_beside():
    embedder = MeanStates(LocalModel(tiny("llama")))
    texts = ["a", "the quick brown fox", "", "連歌"]
    together = embedder.embed(texts)
    assert together.shape == (4, 32)
    for text, vector in zip(texts, together, strict=True):
        assert np.allclose(embedder.embed([text])[0], vector, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_the_same_adapter_is_the_same_embedder():
    weights = tiny("llama")
    one, other = (MeanStates(LocalModel(weights, random_adapter(weights, 1))) for _ in range(2))
    assert one.fingerprint == other.fingerprint != MeanStates(LocalModel(weights)).fingerprint
    assert one.fingerprint != MeanStates(LocalModel(weights, random_adapter(weights, 2))).fingerprint


def test_token_vectors_are_means_in_which_the_frequent_count_less():
    model = LocalModel(tiny("llama"))
    embedder = TokenVectors(model)
    table = model.weights.model.get_input_embeddings().weight.detach().numpy()
    first, last = table[5], table[model.vocabulary.size - 1]
    assert np.allclose(unit(embedder._weights[[5]][:, None] * first), unit(first[None]), atol=1e-6)
    assert embedder._weights[5] < embedder._weights[-1] <= 1 and last.any()
    ids = model.vocabulary.encode("the fox")
    wanted = unit((embedder._weights[ids] @ table[ids])[None])
    assert np.allclose(embedder.embed(["the fox"]), wanted, atol=1e-6)
    assert not embedder.embed([""]).any()
    tuned = LocalModel(model.weights, random_adapter(model.weights, 1))
    assert TokenVectors(tuned).fingerprint == embedder.fingerprint


@pytest.mark.parametrize("count", [60, 400])
def test_what_all_vectors_share_is_shrunk(count):
    rng = np.random.default_rng(0)
    strong = 9 * np.eye(200)[0] + np.outer(rng.standard_normal(count), 5 * np.eye(200)[1])
    vectors = unit(strong + rng.standard_normal((count, 200)))
    apart = Shared(vectors).without(vectors)
    assert abs(apart.mean(0)).max() < 0.05
    spread = [(v - v.mean(0)).var(0) for v in (vectors, apart)]
    assert spread[1][1] / spread[1][2:].mean() < spread[0][1] / spread[0][2:].mean() / 4


def test_one_text_and_equal_texts_share_nothing_that_could_be_shrunk():
    for vectors in (unit(np.ones((1, 4))), unit(np.ones((3, 4)))):
        assert np.isfinite(Shared(vectors).without(vectors)).all()


def test_words_that_are_rare_are_heard_above_vectors_that_hardly_differ():
    index = PassageIndex(embedder=Letters())
    index.update([Document(f"{i}", f"The mill number {i} makes nails and salt.") for i in range(20)])
    index.update([Document("rare", "Ravton makes nails and salt.")])
    asked = "What does the mill called Ravton make?"
    assert index.search(asked, 1, "both")[0].passage.citation.source == "rare"
    assert {h.passage.citation.source for h in index.search(asked, 21, "ranks")} >= {"rare", "3"}
    assert index.search("zzz", 1, "ranks") and index.search("?!", 1, "both")
