"""How a token is picked from a row of log-probabilities."""

from __future__ import annotations

import torch

from renga.models.contract import Sampling


def restricted(logp: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Log-probabilities after temperature, top-k and top-p, [.., vocabulary]; excluded tokens are -inf.

    Temperature comes first, then the k best are kept, then the smallest set whose mass reaches top_p
    (nucleus sampling, arXiv:1904.09751); the most probable token always stays.
    """
    # The best is at 0 whatever the temperature: however low that is, one finite number stays.
    logits = logp - logp.amax(-1, keepdim=True)
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    if sampling.top_k > 0:
        best = logits.topk(min(sampling.top_k, logits.shape[-1]), dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, best.indices, best.values)
    if sampling.top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=True)
        mass = ordered.softmax(-1)
        excluded = mass.cumsum(-1) - mass >= sampling.top_p
        excluded[..., 0] = False
        logits = logits.masked_fill(torch.empty_like(excluded).scatter(-1, order, excluded), -torch.inf)
    return logits.log_softmax(-1)


def pick(logp: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """One token per row of `logp` [rows, vocabulary] -> [rows]; greedy at temperature 0."""
    if sampling.temperature <= 0:
        return logp.argmax(-1)
    probabilities = restricted(logp, sampling).exp()
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
