"""Weights and gates for `fuse`, fitted on a few texts by minimising their bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from renga.errors import UsageError
from renga.models.composed import close_session
from renga.models.contract import Full, LanguageModel, Prompt
from renga.models.ensemble.rules import features
from renga.models.ensemble.translate import translate
from renga.models.example import Example


def rows_of_gold(models: Sequence[LanguageModel], examples: Sequence[Example]) -> list[torch.Tensor]:
    """Per model its rows at every token of the responses, the end included: [tokens, vocabulary]."""
    aligned = [translate(model, models[0]) for model in models]
    rows: list[list[torch.Tensor]] = [[] for _ in models]
    for example in examples:
        ids = models[0].vocabulary.encode(example.response or "")
        for kept, model in zip(rows, aligned, strict=True):
            session = model.open(Prompt(example.prompt))
            found = session.feed(ids, Full()).logp
            assert found is not None
            kept.append(found)
            close_session(session)
    return [torch.cat(kept) for kept in rows]


def gold_ids(model: LanguageModel, examples: Sequence[Example]) -> torch.Tensor:
    """The ids of the responses, each with its end: [tokens]."""
    encoded = model.vocabulary.encode_many([example.response or "" for example in examples])
    return torch.tensor([id for ids in encoded for id in (*ids, model.vocabulary.end)])


def fit_weights(
    models: Sequence[LanguageModel], examples: Sequence[Example], *, rule: str = "mean", steps: int = 200
) -> list[float]:
    """The weights under which `rule`, "mean" or "geometric", needs the fewest bits for the responses.

    Both problems have one optimum. The mean's is found by expectation maximisation, which never gets worse.
    """
    if not any(example.response for example in examples):
        raise UsageError("weights are fitted on texts with responses, and there are none")
    gold = gold_ids(models[0], examples)
    rows = rows_of_gold(models, examples)
    if rule == "mean":
        said = torch.stack([row.gather(1, gold[:, None])[:, 0] for row in rows]).double()  # [models, tokens]
        weights = torch.full((len(models), 1), 1 / len(models), dtype=torch.float64)
        for _ in range(steps):
            weights = (weights.log() + said).softmax(0).mean(1, keepdim=True)
        return [float(weight) for weight in weights[:, 0]]
    if rule != "geometric":
        raise UsageError(f"weights can be fitted for rule='mean' and 'geometric', not {rule!r}")
    stacked = torch.stack(rows).double().clamp(min=-60)
    logits = torch.zeros(len(models), dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        mixed = (logits.softmax(0)[:, None, None] * stacked).sum(0).log_softmax(-1)
        return -mixed.gather(1, gold[:, None]).mean()

    _descend([logits], loss)
    return [float(weight) for weight in logits.detach().softmax(0)]


def fit_gate(models: Sequence[LanguageModel], examples: Sequence[Example]) -> list[float]:
    """The gate of rule="defer" between the first and the last of `models`: the marginal likelihood of the
    responses over who says each token is maximised, as Co-LLM does, without labels of who should."""
    gold = gold_ids(models[0], examples)
    small, large = rows_of_gold([models[0], models[-1]], examples)
    seen = features(small).double()
    said = [row.gather(1, gold[:, None])[:, 0].double() for row in (small, large)]
    bend = torch.zeros(seen.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        z = seen @ bend
        by = torch.stack(
            [said[0] - torch.nn.functional.softplus(z), said[1] - torch.nn.functional.softplus(-z)]
        )
        return -by.logsumexp(0).mean() + 1e-4 * bend.square().sum()

    _descend([bend], loss)
    return [round(float(value), 4) for value in bend.detach()]


def _descend(parameters: list[torch.Tensor], loss: object) -> None:
    with torch.inference_mode(False), torch.enable_grad():
        search = torch.optim.LBFGS(parameters, max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            search.zero_grad()
            value: torch.Tensor = loss()  # type: ignore[operator]
            value.backward()  # type: ignore[no-untyped-call]
            return value

        search.step(closure)  # type: ignore[no-untyped-call]
