"""The classic rule of speculative sampling, for drafts whose whole distribution is at hand.

A draft x from q is kept with probability min(1, p(x)/q(x)); the first that is not is replaced by a draw from
what p has more than q (arXiv:2211.17192, 2302.01318). The law is p's for any q, if the draft was drawn from
this very q and both are the distributions after temperature and cuts.
"""

from __future__ import annotations

import hashlib

import torch

from renga.models.contract import Sampling
from renga.models.noise import Place, noise_at
from renga.models.sampling import restricted
from renga.models.vocabulary import Vocabulary


def kept_share(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """With which probability each token is kept, if it was drafted; p and q: probabilities [vocabulary]."""
    return torch.where(q > 0, (p / q.clamp(min=torch.finfo(q.dtype).tiny)).clamp(max=1.0), 1.0)


def residual(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """From what a refused draft is replaced: max(0, p - q), normalised; p itself where nothing is left."""
    more = (p - q).clamp(min=0.0)
    whole = more.sum()
    return more / whole if whole > 0 else p


def emission(
    rows: torch.Tensor,
    drafts: list[int],
    drafted: list[torch.Tensor],
    vocabulary: Vocabulary,
    sampling: Sampling,
    place: Place,
) -> list[int]:
    """What is said, at least one id: `drafts` up to the first that is refused, and one more.

    rows: the target's log-probabilities [drafts + 1, vocabulary], drafted: the drafter's at each draft, both
    before temperature and cuts.
    """
    said: list[int] = []
    for id, row, own in zip(drafts, rows, drafted, strict=False):
        p, q = (restricted(each, sampling).double().exp() for each in (row, own))
        if coin(sampling.seed, place) >= float(kept_share(p, q)[id]):
            return [*said, drawn(residual(p, q).log(), vocabulary, sampling, place, "residual")]
        said.append(id)
        if id in vocabulary.specials:
            return said
        place = place.after(vocabulary, id)
    law = restricted(rows[len(drafts)], sampling)
    return [*said, drawn(law, vocabulary, sampling, place, "target")]


def drawn(law: torch.Tensor, vocabulary: Vocabulary, sampling: Sampling, place: Place, what: str) -> int:
    """A draw from log-probabilities, independent of those for another `what` at the same place."""
    noise = noise_at(vocabulary, derived(sampling.seed, what), place)
    return int((law.double().numpy() + noise).argmax())


def coin(seed: int, place: Place) -> float:
    """Uniform in [0, 1), one for each place."""
    facts = b"".join(n.to_bytes(8, "little") for n in (derived(seed, "coin"), place.offset, place.silent))
    digest = hashlib.blake2b(facts, digest_size=8, person=b"renga coin").digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def derived(seed: int, what: str) -> int:
    """Another seed, one for each purpose."""
    digest = hashlib.blake2b(what.encode() + (seed % 2**64).to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
