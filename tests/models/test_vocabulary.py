"""Ids and bytes: what encode promises holds for every kind of tokenizer and every text."""

import numpy as np
import pytest
from hypothesis import given, settings
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from renga.errors import RengaError
from renga.models.vocabulary import Vocabulary
from tests.models.tiny_tokenizers import CORPUS, KINDS, SPECIALS, byte_level, metaspace, texts, vocabulary

KIND = pytest.mark.parametrize("kind", KINDS)


@KIND
@settings(max_examples=60, deadline=None)
@given(text=texts())
def test_any_text_comes_back_byte_for_byte_and_free_of_specials(kind, text):
    v = vocabulary(kind)
    ids = v.encode(text)
    assert v.bytes_of(ids) == text.encode()
    assert not v.specials.intersection(ids)
    assert b"".join(map(v.token_bytes, ids)) == text.encode()
    assert v.lengths()[ids].sum() == len(text.encode())


@KIND
def test_encode_many_is_encode_of_each(kind):
    v = vocabulary(kind)
    several = ["", " the fox", "\n\nx", *CORPUS[:6], "▁ e\u0301", "the fox"]
    assert v.encode_many(several) == [v.encode(text) for text in several]
    assert v.encode_many([]) == []
    assert v.encode("") == []


@KIND
@pytest.mark.parametrize("name", SPECIALS)
def test_nobody_can_write_a_control_token(kind, name):
    v = vocabulary(kind)
    for text in (name, f"a{name}b", f" {name}\n{name}", name * 3):
        assert not v.specials.intersection(v.encode(text))
        assert v.bytes_of(v.encode(text)) == text.encode()


@KIND
def test_a_text_is_continued_not_begun(kind):
    """No space before the first word: " fox" and "fox" differ, and neither has a space too many."""
    v = vocabulary(kind)
    assert v.bytes_of(v.encode("fox")) == b"fox"
    assert v.encode(" fox") != v.encode("fox")
    assert v.token_bytes(v.encode("fox")[0])[:1] == b"f"


def test_a_word_behind_the_anchor_is_tokenised_as_inside_a_text():
    """The anchor must not cost merges: " utilize" alone is what it is after another word."""
    v = vocabulary("metaspace")
    inside = v.encode("others utilize")
    alone = v.encode(" utilize")
    assert inside[-len(alone) :] == alone


def test_texts_that_normalising_changes_keep_the_merges_elsewhere():
    v = vocabulary("bytes-composing")
    plain = v.encode("the fox and the dog")
    mended = v.encode("the fox and the dog" + " e\u0301")
    assert v.bytes_of(mended).decode() == "the fox and the dog e\u0301"
    assert len(mended) <= len(plain) + 12


def test_long_awkward_text_takes_no_quadratic_time():
    v = vocabulary("metaspace")
    text = "▁e\u0301 " * 3000
    assert v.bytes_of(v.encode(text)) == text.encode()


@KIND
def test_every_id_has_bytes_or_is_special(kind):
    v = vocabulary(kind)
    silent = {id for id in range(v.size) if not v.token_bytes(id)}
    assert silent == v.specials
    assert v.end in v.specials
    assert v.lengths().shape == (v.size,)
    assert v.lengths().dtype == np.int32
    assert all(v.lengths()[id] == len(v.token_bytes(id)) for id in range(v.size))
    with pytest.raises(ValueError, match="read-only"):
        v.lengths()[0] = 1


def test_ids_outside_the_vocabulary_are_refused():
    v = vocabulary("bytes-small")
    for id in (-1, v.size):
        with pytest.raises(RengaError, match="outside the vocabulary"):
            v.token_bytes(id)
    with pytest.raises(RengaError, match="outside the vocabulary"):
        Vocabulary(byte_level(270), v.size)


def test_added_text_tokens_stand_for_their_text():
    tokenizer = Tokenizer.from_str(byte_level(300).backend_tokenizer.to_str())
    tokenizer.add_tokens([AddedToken("<tool call>", special=False), AddedToken("连", special=False)])
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", special=True)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    v = Vocabulary(fast, fast.convert_tokens_to_ids("<|im_end|>"))
    tool = fast.convert_tokens_to_ids("<tool call>")
    assert v.token_bytes(tool) == b"<tool call>"
    assert v.token_bytes(fast.convert_tokens_to_ids("连")) == "连".encode()
    assert v.encode("a<tool call>")[-1] == tool
    assert v.end not in v.encode("<|im_end|>")
    assert v.end in v.specials


def test_an_end_that_is_not_marked_special_can_still_not_be_written():
    tokenizer = Tokenizer.from_str(byte_level(300).backend_tokenizer.to_str())
    tokenizer.add_tokens([AddedToken("<stop>", special=False)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    v = Vocabulary(fast, fast.convert_tokens_to_ids("<stop>"))
    assert v.token_bytes(v.end) == b""
    assert v.end not in v.encode("well<stop>")
    assert v.bytes_of(v.encode("well<stop>")) == b"well<stop>"


def test_a_tokenizer_that_loses_text_is_refused_by_name():
    lossy = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "<end>": 2}, unk_token="<unk>"))
    lossy.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=lossy, unk_token="<unk>", eos_token="<end>")
    fast.name_or_path = "forgetful"
    with pytest.raises(RengaError, match="forgetful") as error:
        Vocabulary(fast, 2)
    assert error.value.hint


def test_what_cannot_be_spelled_is_named():
    v = vocabulary("bytes-small")
    with pytest.raises(RengaError, match=r"U\+D800"):
        v.encode("half a pair \ud800")
    assert v.attempt_many(["fine", "\ud800"])[1] is None


def test_a_plain_vocabulary_keeps_marks_that_others_use_for_spaces():
    """Tokens written as text, "▁" included: the rule that keeps both apart is chosen."""
    from renga.models.vocabulary import _MARK, _PROBES

    letters = sorted(set("".join(_PROBES) + _MARK))
    vocab = {letter: id for id, letter in enumerate(["<end>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    v = Vocabulary(fast, 0)
    assert v.token_bytes(vocab["▁"]) == "▁".encode()
    assert v.bytes_of(v.encode("a ▁")) == "a ▁".encode()


def test_the_fingerprint_says_what_ids_mean():
    again = byte_level(500)
    small, large = vocabulary("bytes-small"), vocabulary("bytes-large")
    assert len(small.fingerprint) == 64
    assert small.fingerprint != large.fingerprint
    assert Vocabulary(again, large.end).fingerprint == large.fingerprint
    renamed = Tokenizer.from_str(again.backend_tokenizer.to_str().replace("<s>", "<bos>"))
    other = PreTrainedTokenizerFast(tokenizer_object=renamed, eos_token="<end>")
    assert Vocabulary(other, large.end).fingerprint != large.fingerprint
    assert Vocabulary(metaspace(200), 1).fingerprint == vocabulary("metaspace").fingerprint


@pytest.mark.real
@pytest.mark.parametrize("reference", ["SmolLM2-135M-Instruct", "gemma-3-270m"])
def test_the_embedded_models_keep_text_and_refuse_control_tokens(reference):
    from renga.models.references import load_tokenizer

    tokenizer = load_tokenizer(reference)
    v = Vocabulary(tokenizer, tokenizer.eos_token_id)
    assert not v._anchored  # neither puts a space before a text, and a conversion that does is wrong
    for name in (
        "<|im_end|>",
        "<|im_start|>",
        "<eos>",
        "<bos>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<unused7>",
    ):
        assert not v.specials.intersection(v.encode(f"a{name} b"))
    for text in (*CORPUS, "   1\n\n\n2", "▁▁ x", " " * 40, "<table>\t\t</table>", "[multimodal]", "नमस्ते 🏳️‍🌈"):
        assert v.bytes_of(v.encode(text)) == text.encode()
    assert v.token_bytes(v.encode("hello world")[1]) == b" world"
    assert v.fingerprint == Vocabulary(tokenizer, v.end).fingerprint
