"""From a model reference (see `locate`) to a model in memory, or to a description of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renga.errors import RengaError
from renga.models import gguf, store
from renga.models.embedded import embedded_pieces as embedded_pieces
from renga.models.gguf import Progress
from renga.models.locate import Place, locate, prepared_folder, ready_folder, stay_offline
from renga.models.template import Template

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Loaded:
    """A model in memory, ready to answer: float32 on the CPU, no gradients.

    fingerprint: the base fingerprint (see `fingerprints`). chat: it has a chat template. licence: as its
    source states it, "" if it doesn't.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    reference: str
    fingerprint: str
    chat: bool
    licence: str


def load(reference: str, *, progress: Progress | None = None) -> Loaded:
    """Load a model and its tokenizer. The weights are mapped, not copied, when they lie there in float32.

    progress: called with a line when something takes long. Raises UsageError or RengaError (see `locate`
    and `ready_folder`), RengaError for a folder that transformers can't load.
    """
    place = locate(reference)
    folder = ready_folder(place, progress)
    stay_offline()
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with gguf.quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="sdpa",
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    except Exception as error:  # whatever transformers stumbles on in a file from elsewhere
        raise _unreadable(place, folder, error) from error
    if lacking := gguf.lacking(info):
        raise _unreadable(place, folder, ValueError(lacking))
    model.eval().requires_grad_(False)
    model.config.use_cache = True
    tokenizer = _tokenizer(place, folder)
    facts = _json(folder / store.FACTS)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        reference=reference,
        fingerprint=str(facts["fingerprint"]) if "fingerprint" in facts else _fingerprint(model, folder),
        chat=bool(tokenizer.chat_template),
        licence=str(facts.get("licence", "")),
    )


def load_tokenizer(reference: str) -> PreTrainedTokenizerBase:
    """The tokenizer alone, without reading weights (a GGUF is prepared first if it hasn't been)."""
    place = locate(reference)
    return _tokenizer(place, ready_folder(place))


def end_id(loaded: Loaded) -> int:
    """The id that ends an answer: end of turn for a chat model, end of text for a base model."""
    return Template.of(loaded).end


def _tokenizer(place: Place, folder: Path) -> PreTrainedTokenizerBase:
    stay_offline()
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        with gguf.quiet():
            if (folder / store.FACTS).is_file():
                # Our own folder: tokenizer.json is all there is to it. Told so, transformers takes 1.5 s
                # for Gemma's; by itself it reads that file eight times and builds it twice.
                chat = folder / "chat_template.jinja"
                return PreTrainedTokenizerFast(
                    tokenizer_file=str(folder / "tokenizer.json"),
                    chat_template=chat.read_text(encoding="utf-8") if chat.is_file() else None,
                    **_json(folder / "tokenizer_config.json"),
                )
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as in `load`
        raise _unreadable(place, folder, error) from error
    return tokenizer


def _unreadable(place: Place, folder: Path, error: Exception) -> RengaError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    ours = place.folder is None
    hint = f"delete {folder}; it is made again" if ours else f"check the files in {folder}, or save it again"
    return RengaError(f"can't load {place.reference}: {first}", hint=hint)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _fingerprint(model: PreTrainedModel, folder: Path) -> str:
    from renga.models.fingerprints import base_fingerprint

    files = [folder / "config.json", *folder.glob("*.safetensors")]
    return store.remembered("fingerprint", files, lambda: base_fingerprint(model))


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without loading it; None where it isn't.

    architecture: transformers' class, or the GGUF's own word. vocabulary: rows. context: tokens.
    bytes_on_disk: as the model came; bytes_in_memory: as float32. place: a path. fetched: its bytes are
    on this machine; prepared: loading it takes no unpacking.
    """

    reference: str
    name: str
    architecture: str | None = None
    parameters: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    bytes_on_disk: int | None = None
    bytes_in_memory: int | None = None
    licence: str | None = None
    chat: bool | None = None
    place: str | None = None
    fetched: bool = True
    prepared: bool = False
    fingerprint: str | None = None


def describe(reference: str) -> ModelFacts:
    """What is known of a model without loading it.

    Raises as `locate` does and, for damaged files, RengaError.
    """
    place = locate(reference)
    folder, model = prepared_folder(place), place.embedded
    known: dict[str, Any] = {}
    if folder is not None:
        known = _of_folder(folder)
    elif place.file is not None:
        known = _of_file(place.file)
    elif model is not None:
        pieces = embedded_pieces(model)
        known = {"fetched": pieces is not None, "place": str(pieces[0].parent) if pieces else None}
    if model is not None:
        known |= {"architecture": model.architecture, "parameters": model.parameters, "chat": model.chat}
        known |= {"licence": model.licence, "bytes_on_disk": model.size}
    return ModelFacts(reference, place.name, bytes_in_memory=4 * known["parameters"], **known)


def _of_folder(folder: Path) -> dict[str, Any]:
    config, facts = _json(folder / "config.json"), _json(folder / store.FACTS)
    text = config.get("text_config", config)
    weights = sorted(folder.glob("*.safetensors"))
    return {
        "architecture": (config.get("architectures") or [config.get("model_type")])[0],
        "parameters": sum(_count(path, tied=bool(config.get("tie_word_embeddings"))) for path in weights),
        "vocabulary": text.get("vocab_size"),
        "context": text.get("max_position_embeddings") or text.get("n_positions"),
        "bytes_on_disk": facts.get("source", {}).get("bytes") or sum(p.stat().st_size for p in weights),
        "licence": facts.get("licence") or None,
        "chat": (folder / "chat_template.jinja").is_file()
        or "chat_template" in _json(folder / "tokenizer_config.json"),
        "place": str(folder),
        "prepared": True,
        "fingerprint": facts.get("fingerprint"),
    }


def _count(path: Path, tied: bool) -> int:
    """Numbers in a safetensors file, by its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = [n for n in file.keys() if not (tied and n == "lm_head.weight")]  # noqa: SIM118
            return sum(prod(file.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        raise RengaError(f"can't read {path}: {error}", hint="copy or save the model again") from error


def _of_file(path: Path) -> dict[str, Any]:
    header = gguf.read_header(path)
    return {
        "architecture": header.architecture,
        "parameters": header.parameters,
        "vocabulary": header.facts.get("tokenizer.ggml.tokens"),
        "context": header.fact("context_length"),
        "bytes_on_disk": path.stat().st_size,
        "licence": header.facts.get("general.license"),
        "chat": "tokenizer.chat_template" in header.facts,
        "place": str(path),
    }
