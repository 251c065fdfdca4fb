"""The distillation loss: Kullback–Leibler over the tokens a teacher lists and one bucket for the rest.

Nothing of the size of [places, vocabulary] is made but what a gradient of the logits is anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch

from renga.models.alignment import Targets

_CHUNK = 1 << 20  # logits looked at at once: 4 MiB of float32, which caches hold


def kd_loss(
    logits: torch.Tensor,
    targets: Targets,
    temperature: float = 1.0,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean over the places with a target of KL(teacher || student), in nats: a scalar with gradient.

    logits: [n, vocabulary] of the student at the n places of `targets`. weights: [n], confidence in each
    place; the mean is then weighted. Without any place to learn from the loss is 0.

    The distributions compared have one outcome per listed token and one, the tail, for all others
    together; the student's tail is the exact log-sum-exp of its unlisted logits, not 1 minus a sum.
    A temperature T other than 1 acts on these outcomes: both sides' probabilities are raised to 1/T and
    brought back to sum 1, the tail as one outcome. Tempering before tokens are bucketed would need the
    teacher's probability of every unlisted token, which nobody sent. So the tail counts for less here
    than in the dense loss, and T > 1 flattens among listed tokens only; equal distributions still give 0.
    The result is multiplied by T² (Hinton et al., arXiv:1503.02531), so that gradients keep their size.
    """
    n = logits.shape[0]
    if targets.mask.shape != (n,):
        raise ValueError(f"{n} rows of logits for {len(targets.mask)} places")
    device = logits.device
    if not targets.mask.any():
        return logits[:0].float().sum()
    at = torch.from_numpy(targets.position.astype(np.int64)).to(device)
    token = torch.from_numpy(targets.token.astype(np.int64)).to(device)
    mask = torch.from_numpy(targets.mask).to(device)
    listed, rest = _gathered(logits, at, token)
    dtype = listed.dtype
    p = torch.from_numpy(targets.probability).to(device, dtype)
    tail = torch.from_numpy(targets.tail).to(device, dtype)
    # A row that lists the whole vocabulary has no bucket; what rounding left in its tail is nobody's.
    bucket = torch.isfinite(rest.detach()) & (tail > 0)

    z, r = listed / temperature, rest / temperature
    norm = _sum_exp(z, r, at)
    log_p, log_tail = p.log(), torch.where(bucket, tail, 1.0).log()
    if temperature != 1.0:
        # A place without bucket and without anything listed is masked, and must not become a NaN.
        spare = torch.where(bucket | ~mask, log_tail / temperature, -torch.inf)
        total = _sum_exp(log_p / temperature, spare, at)
        log_p, log_tail = log_p / temperature - total[at], log_tail / temperature - total
        p, tail = log_p.exp(), log_tail.exp()
    tail = torch.where(bucket, tail, 0.0)
    kl = tail * (log_tail - torch.where(bucket, r, 0.0) + norm)
    kl = kl.index_add(0, at, p * (log_p - z + norm[at]))
    weight = mask.to(dtype) if weights is None else torch.where(mask, weights.to(device, dtype), 0.0)
    weighted = torch.where(mask, kl, 0.0) * weight
    return weighted.sum() / weight.sum().clamp_min(torch.finfo(dtype).tiny) * temperature**2


def _sum_exp(z: torch.Tensor, r: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Per place the log-sum-exp of its listed z [m] and its r [n], which may be -inf: [n]."""
    top = r.detach().scatter_reduce(0, at, z.detach(), "amax")
    total = (r - top).exp().index_add(0, at, (z - top[at]).exp())
    return top + total.log()


class _Gathered(torch.autograd.Function):
    """logits [n, V] -> the listed ones [m], and the log-sum-exp of each row's others [n].

    Backward makes one array of the logits' shape, their gradient, where indexing, masking and logsumexp
    of torch would make four.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, at: torch.Tensor, token: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rest = torch.empty(logits.shape[0], dtype=_wide(logits), device=logits.device)
        for rows, part in _parts(logits):
            here = (at >= rows.start) & (at < rows.stop)
            others = part.index_put((at[here] - rows.start, token[here]), part.new_tensor(-torch.inf))
            rest[rows] = torch.logsumexp(others, dim=1)
        ctx.save_for_backward(logits, at, token, rest)
        return logits[at, token].to(rest.dtype), rest

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        of_listed, of_rest = gradients
        logits, at, token, rest = ctx.saved_tensors
        # Where there are no others, their softmax is 0, not the NaN of -inf + inf.
        rest = torch.where(torch.isfinite(rest), rest, torch.inf)
        gradient = torch.empty_like(logits)
        for rows, part in _parts(logits):
            gradient[rows] = (part - rest[rows, None]).exp_().mul_(of_rest[rows, None])
        gradient[at, token] = of_listed.to(gradient.dtype)
        return gradient, None, None


def _gathered(
    logits: torch.Tensor, at: torch.Tensor, token: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return cast(tuple[torch.Tensor, torch.Tensor], _Gathered.apply(logits, at, token))  # type: ignore[no-untyped-call]


def _wide(logits: torch.Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _parts(logits: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows in groups that are small in memory, each at least in float32."""
    step = max(1, _CHUNK // logits.shape[1])
    for start in range(0, len(logits), step):
        rows = slice(start, start + step)
        yield rows, logits[rows].to(_wide(logits))
