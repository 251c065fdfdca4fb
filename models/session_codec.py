"""Wants and answers on the wire, checked before anything is allocated.

Beside the models rather than in `protocol`: wants are the contract's, and `protocol` knows none of ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from renga.errors import RefusedPayload
from renga.models.contract import Answer, Full, Sampling, Scores, TopK, Verify, Want
from renga.protocol import link_pb2 as wire

NAMES: dict[str, type[Want]] = {"full": Full, "topk": TopK, "scores": Scores, "verify": Verify}


def id_width(vocabulary: int) -> int:
    """Bytes of an id: as many as the largest of the vocabulary needs, two at least."""
    return max(2, ((vocabulary - 1).bit_length() + 7) // 8)


def packed_ids(ids: Sequence[int], vocabulary: int) -> bytes:
    """Little-endian, of the vocabulary's width."""
    wide = np.asarray(ids, dtype="<u4").view(np.uint8).reshape(len(ids), 4)
    return wide[:, : id_width(vocabulary)].tobytes()


def read_ids(data: bytes, vocabulary: int, most: int) -> list[int]:
    """Ids below `vocabulary`, at most `most` of them. Raises RefusedPayload."""
    width = id_width(vocabulary)
    if len(data) % width or len(data) // width > most:
        raise RefusedPayload(f"{len(data)} bytes of ids, where at most {most} ids may be")
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, :width] = np.frombuffer(data, np.uint8).reshape(-1, width)
    ids = wide.view("<u4").ravel()
    if len(ids) and int(ids.max()) >= vocabulary:
        raise RefusedPayload("an id lies outside the vocabulary")
    return [int(id) for id in ids]


def packed_want(want: Want, said: Sampling | None = None) -> wire.Want:
    """A want, as a message. said: the sampling that this session was told last, which is not told again."""
    match want:
        case TopK(k):
            return wire.Want(topk=wire.TopK(k=k))
        case Scores():
            return wire.Want(scores=wire.Scores())
        case Verify(s, offset, silent):
            sampling = wire.Sampling(
                temperature=s.temperature,
                top_p=s.top_p,
                top_k=s.top_k,
                max_tokens=s.max_tokens,
                seed=s.seed % 2**64,
            )
            told = None if s == said else sampling
            return wire.Want(verify=wire.Verify(sampling=told, offset=offset, silent=silent))
    return wire.Want(full=wire.Full())


def read_want(message: wire.Want, vocabulary: int, said: Sampling | None = None) -> Want:
    """A want off the wire; `said` as in `packed_want`. Raises RefusedPayload for one that is none, or out of
    bounds."""
    kind = message.WhichOneof("want")
    if kind == "full":
        return Full()
    if kind == "scores":
        return Scores()
    if kind == "topk":
        if not 1 <= message.topk.k <= vocabulary:
            raise RefusedPayload(f"top-k with k = {message.topk.k}")
        return TopK(message.topk.k)
    if kind == "verify":
        verify = message.verify
        sampling = read_sampling(verify.sampling) if verify.HasField("sampling") else said
        if sampling is None:
            raise RefusedPayload("a session verifies without having been told how to sample")
        return Verify(sampling, verify.offset, verify.silent)
    raise RefusedPayload("a feed says nothing of what it wants")


def read_sampling(message: wire.Sampling) -> Sampling:
    """Raises RefusedPayload for numbers that are no sampling."""
    if not (math.isfinite(message.temperature) and message.temperature >= 0 and 0 < message.top_p <= 1):
        raise RefusedPayload("temperature must be at least 0 and finite, top_p above 0 and at most 1")
    return Sampling(message.temperature, message.top_p, message.top_k, message.max_tokens, message.seed)


def packed_answer(answer: Answer, want: Want, length: int, vocabulary: int) -> wire.Fed:
    """An answer, as a message; `length`: ids read now."""
    fed = wire.Fed(length=length)
    if isinstance(want, Verify):
        assert answer.ids is not None
        fed.ids, fed.rows = packed_ids(answer.ids.tolist(), vocabulary), len(answer.ids)
        return fed
    logp = answer.scores if isinstance(want, Scores) else answer.logp
    assert logp is not None
    fed.logp, fed.rows = _floats(logp), len(logp)
    if isinstance(want, TopK):
        assert answer.ids is not None and answer.tail is not None
        fed.ids = packed_ids(answer.ids.flatten().tolist(), vocabulary)
        fed.tail = _floats(answer.tail)
    return fed


def read_answer(fed: wire.Fed, want: Want, ids: int, vocabulary: int) -> Answer:
    """The answer to a feed of `ids` ids. Raises RefusedPayload unless it is exactly what was asked for."""
    if isinstance(want, Verify):
        emitted = read_ids(fed.ids, vocabulary, ids + 1)
        if not emitted:
            raise RefusedPayload("nothing was emitted")
        return Answer(ids=torch.tensor(emitted))
    if isinstance(want, Scores):
        return Answer(scores=_tensor(fed.logp, (ids,)))
    places = ids + 1
    if isinstance(want, TopK):
        k = min(want.k, vocabulary)
        listed = read_ids(fed.ids, vocabulary, places * k)
        if len(listed) != places * k:
            raise RefusedPayload(f"{len(listed)} ids listed, not {places} x {k}")
        return Answer(
            logp=_tensor(fed.logp, (places, k)),
            ids=torch.tensor(listed, dtype=torch.long).view(places, k),
            tail=_tensor(fed.tail, (places,)),
        )
    return Answer(logp=_tensor(fed.logp, (places, vocabulary)))


def _floats(values: torch.Tensor) -> bytes:
    return values.numpy().astype("<f4").tobytes()


def _tensor(data: bytes, shape: tuple[int, ...]) -> torch.Tensor:
    if len(data) != 4 * math.prod(shape):
        raise RefusedPayload(f"{len(data)} bytes of log-probabilities, not those of {shape}")
    values = np.frombuffer(data, dtype="<f4").astype(np.float32)
    # A log-probability may be minus infinity, and a last bit above 0.
    if np.isnan(values).any() or (values > 1e-3).any():
        raise RefusedPayload("a log-probability is none")
    return torch.from_numpy(values).view(shape)
