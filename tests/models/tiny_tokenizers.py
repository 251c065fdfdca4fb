"""Tokenizers of every kind that matters, made in milliseconds: no files, no downloads."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from renga.models.vocabulary import Vocabulary

CORPUS = [
    "We utilize the tokens that the others utilize, and we count every byte of them.",
    "The quick brown fox jumps over the lazy dog; the dog is not amused, the fox is.",
    "A client trains on its own text and the server merges what the clients have learned.",
    "連歌は複数の詩人が一つの詩を作る。発句は季語を持つ。",
    "naïve café, Straße, étude; 👩‍👩‍👧 and 🎋 and e\u0301.\n\n  indented\n\tby a tab",
    "numbers 0 1 2 3 10 100 2024, brackets (a) [b] {c} <d>",
] * 3
SPECIALS = ["<s>", "<end>", "<unk>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def texts() -> Any:
    """A hypothesis strategy: text of every kind, with what tokenizers stumble over more often."""
    from hypothesis import strategies as st

    cuts = ["  ", "\n", "\n\n", "\t", " the", "utilize", "<end>", "<s>", "<0x0A>"]
    marks = ["▁", "e\u0301", "é", "連歌", "👩\u200d👩\u200d👧"]
    awkward = st.sampled_from(cuts + marks)
    return st.lists(awkward | st.text(max_size=6) | st.sampled_from(CORPUS), max_size=6).map("".join)


@cache
def byte_level(size: int, *, normalised: bool = False, prefix: bool = False) -> PreTrainedTokenizerFast:
    """GPT-2's kind. normalised: composes accents first, as Qwen does. prefix: puts a space before a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    if normalised:
        tokenizer.normalizer = normalizers.NFC()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=SPECIALS, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", bos_token="<s>")


@cache
def metaspace(size: int, *, dummy_prefix: bool = True) -> PreTrainedTokenizerFast:
    """SentencePiece's BPE as Llama has it: "▁" for a space, bytes for what is unknown, a space put first."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    scheme = "first" if dummy_prefix else "never"
    space = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=True)
    trained.pre_tokenizer = space
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=60, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    model = json.loads(trained.to_str())["model"]
    pieces = [*SPECIALS, *BYTES, *(piece for piece in model["vocab"] if piece not in SPECIALS)]
    vocab = {piece: id for id, piece in enumerate(pieces)}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.pre_tokenizer = space
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", bos_token="<s>", unk_token="<unk>"
    )


@cache
def unigram(size: int) -> PreTrainedTokenizerFast:
    """SentencePiece's unigram model with byte fallback and a space put first."""
    trained = Tokenizer(models.Unigram())
    space = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    trained.pre_tokenizer = space
    trainer = trainers.UnigramTrainer(
        vocab_size=size, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    trained.train_from_iterator(CORPUS[:4], trainer)
    scored = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("<end>", 0.0), *((piece, -20.0) for piece in BYTES)]
    pieces += [(piece, score) for piece, score in scored if piece not in SPECIALS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = space
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", bos_token="<s>", unk_token="<unk>"
    )


@cache
def of_words(*words: str, without: str = "") -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that joins bytes to exactly these words (and their beginnings). without: bytes
    that it lacks, by their letters."""
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocab = {name: id for id, name in enumerate([*SPECIALS, *sorted({*letters.alphabet()} - {*without})])}
    merges: list[tuple[str, str]] = []
    for word in words:
        spelled = letters.pre_tokenize_str(word)[0][0]
        for i in range(1, len(spelled)):
            pair = ("".join(spelled[:i]), spelled[i])
            if pair not in merges:
                merges.append(pair)
                vocab.setdefault("".join(pair), len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", bos_token="<s>")


def worded(*words: str, without: str = "") -> Vocabulary:
    return Vocabulary(of_words(*words, without=without), SPECIALS.index("<end>"))


@cache
def vocabulary(kind: str) -> Vocabulary:
    """One of KINDS, with "<end>" as its end."""
    tokenizer = KINDS[kind]()
    return Vocabulary(tokenizer, tokenizer.convert_tokens_to_ids("<end>"))


KINDS = {
    "bytes-small": lambda: byte_level(270),
    "bytes-large": lambda: byte_level(500),
    "bytes-composing": lambda: byte_level(400, normalised=True),
    "bytes-prefixed": lambda: byte_level(400, prefix=True),
    "metaspace": lambda: metaspace(200),
    "metaspace-no-prefix": lambda: metaspace(150, dummy_prefix=False),
    "unigram": lambda: unigram(120),
}
