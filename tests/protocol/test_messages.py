"""Every message survives its wire form, and no bytes from outside do anything but that or be refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RefusedPayload
from renga.protocol.adapter_codec import DecodedAdapter
from renga.protocol.envelope import MESSAGE_TYPES, opened, sealed
from renga.protocol.knowledge_codec import RowArrays
from renga.protocol.messages import (
    AnswerReply,
    AnswerRequest,
    Description,
    ExchangeReply,
    ExchangeRequest,
    JudgeReply,
    JudgeRequest,
    LearnReply,
    LearnRequest,
    SettledAnswer,
    sizes,
)
from renga.protocol.packing import pack, unpack

VOCABULARY = 300
BASE = "ab" * 32


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def rows(gold: int = 5) -> RowArrays:
    """Two rows of one text whose response has three bytes."""
    logp = np.log(floats(0.5, 0.25, 0.75))
    return RowArrays(
        ints(0, 3), ints(gold, 1), np.log(floats(0.25, 0.75)), ints(2, 1), ints(7, gold, 1), logp
    )


def adapter(rank: int = 2, seed: int = 0) -> DecodedAdapter:
    rng = np.random.default_rng(seed)
    shapes = {"layers.0.q": (6, 4), "layers.1.q": (4, 6)}
    factors = {
        path: (rng.normal(size=(rank, i)).astype(np.float32), rng.normal(size=(o, rank)).astype(np.float32))
        for path, (o, i) in shapes.items()
    }
    return DecodedAdapter(factors, rank, 4.0, BASE, {"who": "連歌"})


DESCRIPTION = Description(
    name="ada",
    model="some/folder",
    base=BASE,
    vocabulary="cd" * 32,
    vocabulary_size=VOCABULARY,
    rank=2,
    alpha=4.0,
    texts=11,
    weight=0.0,
    transfer="ef" * 32,
    shapes={"layers.0.q": (6, 4), "layers.1.q": (4, 6)},
)
LEARN = LearnRequest(
    round=2,
    attempt=3,
    seed=7,
    since=(1, 2),
    adopted=(1, 2),
    host="host",
    texts=ints(4, 0, 9),
    host_losses=floats(1.5, 0.25, 3),
    adapter=adapter(),
)
LEARNED = LearnReply(
    floats(1.25, 0, 7),
    ints(9, 4),
    {"private_loss": [1.5, 1.25], "private_tokens": 200},
)
ANSWER = AnswerRequest(2, 3, ints(5, 1), 16, 0.25, top_k=4, floor=0.001)
ANSWERED = AnswerReply(VOCABULARY, [(5, "the 🎋 gate"), (6, "")], [rows(), rows(8)])
EXCHANGE = ExchangeRequest(
    round=2,
    attempt=3,
    seed=7,
    vocabulary_size=VOCABULARY,
    host="host",
    given=ints(9, 4),
    rows=[rows(), rows(8)],
    asked=ints(0, 5),
    settled=[SettledAnswer(6, "a\nb", 1.0)],
    top_k=4,
    floor=0.001,
    distillation=0.25,
    temperature=2.0,
)
EXCHANGED = ExchangeReply(
    VOCABULARY, [rows()], adapter(), "float32", {"transfer_loss": [], "transfer_tokens": 0}
)
JUDGE = JudgeRequest(2, 3, adapter(), "float32")
JUDGED = JudgeReply(1.5, 1.25, 3, "merged")

DECODERS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "description": (DESCRIPTION, Description.decode),
    "learn": (LEARN, LearnRequest.decode),
    "learned": (LEARNED, lambda blob: LearnReply.decode(blob, texts=3)),
    "answer": (ANSWER, AnswerRequest.decode),
    "answered": (ANSWERED, lambda blob: AnswerReply.decode(blob, vocabulary_size=VOCABULARY)),
    "exchange": (EXCHANGE, ExchangeRequest.decode),
    "exchanged": (EXCHANGED, lambda blob: ExchangeReply.decode(blob, vocabulary_size=VOCABULARY, texts=1)),
    "judge": (JUDGE, JudgeRequest.decode),
    "judged": (JUDGED, JudgeReply.decode),
}
KINDS = sorted(DECODERS)


def plain(value: object) -> object:
    """What two messages are compared by: arrays as lists, to the digits that 8-bit rows keep."""
    if isinstance(value, np.ndarray):
        return [round(float(x), 1) for x in value.reshape(-1)]
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {key: plain(getattr(value, key)) for key in value.__dataclass_fields__}
    return value


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_comes_back_as_it_was(kind: str) -> None:
    message, decode = DECODERS[kind]
    blob = message.encode()
    again = decode(blob)
    assert plain(again) == plain(message)
    if not kind.startswith("exchange"):  # rows are coded with a loss, everything else is exact
        assert again.encode().tobytes() == blob.tobytes()


def test_what_is_exact_is_exact() -> None:
    again = ExchangeReply.decode(EXCHANGED.encode(), vocabulary_size=VOCABULARY, texts=1)
    for path, (a, b) in EXCHANGED.adapter.factors.items():
        assert again.adapter.factors[path][0].tobytes() == a.tobytes()
        assert again.adapter.factors[path][1].tobytes() == b.tobytes()
    assert LearnReply.decode(LEARNED.encode(), texts=3).losses.tobytes() == LEARNED.losses.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_message_is_no_other_message(kind: str, other: str) -> None:
    if kind != other:
        with pytest.raises(RefusedPayload, match="expected a message"):
            DECODERS[other][1](DECODERS[kind][0].encode())


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_message_is_refused(kind: str) -> None:
    message, decode = DECODERS[kind]
    blob = message.encode()
    for end in {*range(0, len(blob), max(1, len(blob) // 150)), len(blob) - 1}:
        with pytest.raises(RefusedPayload):
            decode(blob[:end])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_mutated_bytes_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    message, decode = DECODERS[kind]
    blob = message.encode().copy()
    places = st.tuples(st.integers(0, len(blob) - 1), st.integers(0, 255))
    for place, byte in data.draw(st.lists(places, min_size=1, max_size=6)):
        blob[place] = byte
    _read_or_refused(decode, blob)


weird: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab/.\x1b", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_well_formed_packs_with_strange_contents_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    """The header is JSON of any kind, and arrays have any size: what a hostile client would send."""
    message, decode = DECODERS[kind]
    arrays, meta = unpack(message.encode(), limit_bytes=1 << 20)
    key = data.draw(st.sampled_from([*meta, "settled", "answers", "training", "adapter"]))
    meta[key] = data.draw(weird)
    if data.draw(st.booleans()) and arrays:
        name = data.draw(st.sampled_from(sorted(arrays)))
        bytes_of = data.draw(st.binary(max_size=24))
        dtype = data.draw(st.sampled_from(["uint8", "int8", "float16"]) | st.just(arrays[name].dtype.name))
        size = np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(bytes_of[: len(bytes_of) // size * size], dtype)
    _read_or_refused(decode, pack(arrays, meta))


def _read_or_refused(decode, blob) -> None:
    with np.errstate(all="ignore"):
        try:
            decode(blob)
            assert sum(sizes(blob).values()) == blob.nbytes
        except RefusedPayload as refusal:
            said = refusal.message
        else:
            return
    assert said.isprintable()


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_add_up(kind: str) -> None:
    blob = DECODERS[kind][0].encode()
    found = sizes(blob)
    assert sum(found.values()) == blob.nbytes
    assert all(value > 0 for value in found.values())


def test_sizes_say_what_is_what() -> None:
    assert set(sizes(LEARN.encode())) == {"adapter", "losses", "other"}
    assert set(sizes(LEARNED.encode())) == {"losses", "other"}
    assert set(sizes(ANSWERED.encode())) == {"rows", "answers", "other"}
    assert set(sizes(EXCHANGE.encode())) == {"rows", "answers", "other"}
    assert set(sizes(JUDGED.encode())) == {"other"}


@given(st.lists(st.text(max_size=3), max_size=200))
@settings(max_examples=30, deadline=None)
def test_sizes_add_up_however_many_answers_there_are(answers) -> None:
    given_answers = list(enumerate(answers))
    blob = AnswerReply(VOCABULARY, given_answers, [rows()] * len(answers)).encode()
    found = sizes(blob)
    assert sum(found.values()) == blob.nbytes and min(found.values()) > 0
    assert AnswerReply.decode(blob, vocabulary_size=VOCABULARY).answers == given_answers


def test_an_attempt_adds_no_bytes() -> None:
    """A run that was killed a hundred times accounts for the bytes of one that never was."""
    turns = [(1, 1), (1, 12), (1, 123)]
    for message in (LEARN, ANSWER, EXCHANGE, JUDGE):
        changes: list[dict[str, Any]] = [{"attempt": attempt} for _, attempt in turns]
        if message is LEARN:
            changes = [{"attempt": t[1], "since": t, "adopted": t} for t in turns]
        blobs = [message.__class__(**{**vars(message), **change}).encode() for change in changes]
        assert len({blob.nbytes for blob in blobs}) == 1
        assert len({blob.tobytes() for blob in blobs}) == 3


def altered(kind: str, **changes: object) -> np.ndarray:
    """The message with other meta (None: left out) and, where values are arrays, other arrays."""
    arrays, meta = unpack(DECODERS[kind][0].encode(), limit_bytes=1 << 20)
    for key, value in changes.items():
        if isinstance(value, np.ndarray):
            arrays[key.replace("__", "/")] = value
        elif value is None:
            del meta[key]
        else:
            meta[key] = value
    return pack(arrays, meta)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        # What a server's files are named by, and what it divides and allocates by.
        ("description", {"base": "../../etc/cron.d/evil"}),
        ("description", {"base": "A" * 64}),
        ("description", {"rank": 0}),
        ("description", {"rank": 10**9}),
        ("description", {"rank": True}),
        ("description", {"alpha": 0.0}),
        ("description", {"alpha": 1e300}),
        ("description", {"weight": -1.0}),
        ("description", {"texts": 0}),
        ("description", {"texts": 10**400}),
        ("description", {"shapes": {}}),
        ("description", {"shapes": {"layers.0.q": [6, -4]}}),
        ("description", {"name": None}),
        # Losses.
        ("learned", {"losses": floats(1, 2, float("nan"))}),
        ("learned", {"losses": floats(1, 2, -1)}),
        ("learned", {"losses": floats(1, 2, 1e30)}),
        ("learned", {"losses": floats(1, 2)}),
        ("learned", {"losses": np.zeros(3)}),
        ("judged", {"after": -1.0}),
        ("judged", {"after": 1e308}),
        ("judged", {"texts": 10**400}),
        ("judged", {"kept": "both"}),
        # Stuffing: texts wanted or answered many times over.
        ("learned", {"wants": ints(3, 3)}),
        ("learned", {"wants": ints(-1)}),
        ("learned", {"answers__texts": ints(5, 5)}),
        ("learned", {"answers__sure": floats(0.5, 1.5)}),
        ("learned", {"answers__sure": floats(0.5, float("nan"))}),
        ("learned", {"answers__lengths": ints(14, 5000)}),
        ("learned", {"answers__lengths": ints(14, -1)}),
        ("learned", {"answers__bytes": np.full(14, 0xFF, np.uint8)}),
        ("learned", {"answers__more": ints(1)}),
        # What would overwrite the server's own books.
        ("learned", {"status": "ok"}),
        ("learned", {"training": {"private_loss": ["none"]}}),
        ("learned", {"settled": 7}),
        ("learned", {"extra": floats(1)}),
        ("learn", {"since": []}),
        ("learn", {"since": [1, "x"]}),
        ("exchange", {"temperature": 0.0}),
        ("exchange", {"floor": -1.0}),
        ("exchange", {"vocabulary_size": 10**30}),
        ("exchange", {"given": ints(9, 4, 5)}),
        ("exchanged", {"adapter": None}),
    ],
)
def test_what_can_not_be_meant_is_refused(kind: str, changes: dict[str, object]) -> None:
    with pytest.raises(RefusedPayload):
        DECODERS[kind][1](altered(kind, **changes))


def test_of_what_a_client_says_of_its_training_only_known_numbers_are_kept() -> None:
    told = {"private_loss": [1.0], "status": "ok", "bytes_up": {"adapter": "none"}, "taught": 99}
    assert LearnReply.decode(altered("learned", training=told), texts=3).training == {"private_loss": [1.0]}


# --- the envelope ---------------------------------------------------------------------------------


def carrying(array: Array | None) -> Message:
    content = RecordDict() if array is None else RecordDict({"payload": ArrayRecord({"packed": array})})
    return Message(content, dst_node_id=7, message_type="train.learn")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("size", [0, 1, 9, 10_000])
def test_an_envelope_gives_back_what_was_sealed(size: int) -> None:
    blob = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    for step, message_type in MESSAGE_TYPES.items():
        message = sealed(step, blob, 7, round=3, ttl=60.0)
        assert (message.metadata.message_type, message.metadata.group_id) == (message_type, "3")
        assert opened(message).tobytes() == blob.tobytes()


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3, np.uint8))
    return file.getvalue()


CLAIMS_TOO_MUCH = (
    saved(np.zeros(5, np.uint8)).replace(b"(5,)", b"(9" + b"9" * 9 + b",)").replace(b" " * 9 + b"\n", b"\n")
)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        archive(),
        b"PK\x03\x04 no archive",
        saved(np.zeros((2, 3), np.uint8)),
        saved(np.zeros(3, np.int8)),
        saved(np.array(3, np.uint8)),
        saved(np.zeros(3)),
        saved(np.zeros(5, np.uint8))[:-1],
        saved(np.zeros(5, np.uint8)) + b"\0",
        CLAIMS_TOO_MUCH,
        b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"(" * 9000,
    ],
)
def test_an_envelope_with_something_else_in_it_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedPayload):
        opened(carrying(Array("uint8", (3,), "numpy.ndarray", data)))


@pytest.mark.usefixtures("server")
def test_an_empty_envelope_is_refused() -> None:
    with pytest.raises(RefusedPayload):
        opened(carrying(None))


@pytest.mark.usefixtures("server")
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_mutated_envelope_is_read_or_refused(changes) -> None:
    data = bytearray(saved(JUDGED.encode()))
    for place, byte in changes:
        data[place % len(data)] = byte
    with suppress(RefusedPayload):
        JudgeReply.decode(opened(carrying(Array("uint8", (3,), "numpy.ndarray", bytes(data)))))
