"""The model that a command names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from renga.cli_options import tell

if TYPE_CHECKING:
    from renga.models.local import LocalModel


def load(reference: str, adapter: Path | None) -> LocalModel:
    """The model of a command, with the adapter that it names."""
    from renga.models.local import LocalModel
    from renga.models.locate import locate, ready_folder

    ready_folder(locate(reference), tell)  # by itself a first load would take half a minute without a word
    if adapter is None:
        return LocalModel.load(reference)
    from dataclasses import replace

    from renga.models.adapter import checked
    from renga.models.adapter_files import load_peft

    worn = load_peft(adapter)  # before the model: a wrong folder shows at once
    weights = LocalModel.load(reference).weights
    if not worn.base:  # made elsewhere: that its layers fit is all that can be known
        worn = replace(worn, base=weights.fingerprint)
    return LocalModel(weights, checked(worn, weights.linear_shapes, weights.fingerprint, max_rank=worn.rank))
