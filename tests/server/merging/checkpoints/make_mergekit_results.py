"""Runs every recipe of `mergekit_recipes` through mergekit, and writes `mergekit_results.safetensors`.

mergekit's results are kept instead of computed: the tests don't wait for its import, nor install its 8
packages. To make them anew, with the extra `peers`:

    python -m tests.server.merging.checkpoints.make_mergekit_results

torch's coin flips are replaced by Renga's draws by element, so that DARE and DELLA drop the same elements in
both; all else is mergekit's own.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.merge_methods import generalized_task_arithmetic as arithmetic
from mergekit.merge_methods.task_adapter import ExecuteMergeMethodTask
from mergekit.options import MergeOptions
from safetensors.numpy import save_file

from renga.server.merging.checkpoints.files import open_checkpoint
from renga.server.merging.checkpoints.inspection import fingerprint
from renga.server.merging.draws import Draws
from tests.server.merging.checkpoints import mergekit_recipes, tiny

RESULTS = Path(__file__).with_name("mergekit_results.safetensors")
_now: dict[str, Any] = {}  # which tensor of which model is being thinned


def _patch():
    execute, group, thin = (
        ExecuteMergeMethodTask.execute,
        arithmetic.GeneralizedTaskArithmeticMerge.merge_group,
        arithmetic.sparsify,
    )

    def named(self, tensors, **rest):
        _now["tensor"] = self.output_weight.name
        return execute(self, tensors, **rest)

    def grouped(self, group_, /, **parameters):
        _now["models"] = [str(entry.id) for entry in group_.non_base]
        return group(self, group_, **parameters)

    def thinned(*args, **rest):
        _now["model"] = _now["models"].pop(0)
        return thin(*args, **rest)

    def flipped(probability, **_):
        identity = fingerprint(open_checkpoint(Path(_now["model"])), 1)
        words = Draws(0, _now["tensor"], [identity]).words(0, 0, probability.numel())
        p = probability.to(torch.float64).numpy().reshape(-1)
        same = p.min() == p.max()
        kept = words < p * 2**32 if same else (words >> 8) < p * 2**24
        return torch.tensor(kept.reshape(probability.shape)).to(probability.dtype)

    ExecuteMergeMethodTask.execute = named
    arithmetic.GeneralizedTaskArithmeticMerge.merge_group = grouped
    arithmetic.sparsify = thinned
    setattr(torch, "bernoulli", flipped)  # noqa: B010


def main():
    _patch()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RENGA_CACHE"] = f"{folder}/store"
        os.chdir(folder)
        mergekit_recipes.models(Path(folder))
        for number, (name, text) in enumerate(mergekit_recipes.RECIPES.items()):
            config = MergeConfiguration.model_validate(yaml.safe_load(text))
            run_merge(config, f"out{number}", MergeOptions(write_model_card=False, quiet=True))
            for tensor, x in tiny.read(Path(f"out{number}")).items():
                results[f"{name}/{tensor}"] = x.astype(np.float16) if "float16" in name else x
        for number, (name, text) in enumerate(mergekit_recipes.BY_TOKEN.items()):
            config = MergeConfiguration.model_validate(yaml.safe_load(text))
            run_merge(config, f"by{number}", MergeOptions(write_model_card=False, quiet=True))
            tensors, tokens = tiny.by_token(Path(f"by{number}"))
            results[f"{name}/tokens"] = np.frombuffer(" ".join(tokens).encode(), np.uint8)
            results.update({f"{name}/{tensor}": x for tensor, x in tensors.items()})
    save_file(results, RESULTS)


if __name__ == "__main__":
    main()
