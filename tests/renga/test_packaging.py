"""One namespace over root folders: the wheel holds every module, with or without the links in `renga/`."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = {
    "renga/py.typed",
    "renga/protocol/link.proto",
    "renga/protocol/link_pb2.pyi",
    *(f"renga/client/sanitisation/{name}.txt" for name in ("lists", "names", "public", "words")),
    *(
        f"renga/simulations/prompts/{folder}{name}.txt"
        for folder in ("", "second/", "third/", "fourth/", "fifth/", "sixth/")
        for name in ("clean", "conversations", "english", "japanese", "others")
    ),
}
FOLDERS = ("client", "models", "protocol", "server", "simulations")


def modules() -> set[str]:
    """Every module of the checkout, as the wheel should hold it."""
    found = {f"renga/{path.name}" for path in (ROOT / "renga").glob("*.py")}
    for folder in FOLDERS:
        found |= {f"renga/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob("*.py")}
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What packaging needs, copied: a build writes into its source tree."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("renga", *FOLDERS):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def build(checkout: Path, what: str) -> Path:
    """Have setuptools build a wheel or an sdist, as any installer would."""
    out = checkout.parent / "out"
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.build_{what}({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


def names_in_wheel(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_wheel_holds_every_module_and_nothing_else(checkout: Path) -> None:
    assert names_in_wheel(build(checkout, "wheel")) == modules() | DATA


def test_wheel_does_not_need_the_links(checkout: Path) -> None:
    for folder in FOLDERS:
        (checkout / "renga" / folder).unlink()
    assert names_in_wheel(build(checkout, "wheel")) == modules() | DATA


def test_sdist_holds_real_files(checkout: Path) -> None:
    with tarfile.open(build(checkout, "sdist")) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym()]
    held = {member.name.partition("/")[2] for member in members}
    assert {name if name.count("/") == 1 else name.removeprefix("renga/") for name in modules()} <= held


@pytest.mark.parametrize("folder", FOLDERS)
def test_links_lead_to_the_root_folders(folder: str) -> None:
    link = ROOT / "renga" / folder
    if not link.is_symlink():
        pytest.skip("a checkout without links")
    assert os.readlink(link) == f"../{folder}"


def test_every_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == {str(Path(name).parent).replace("/", ".") for name in modules()}


def test_init_files_import_nothing() -> None:
    for name in modules():
        if name.endswith("__init__.py"):
            path = ROOT / name if name == "renga/__init__.py" else ROOT / name.removeprefix("renga/")
            body = ast.parse(path.read_text()).body
            assert all(isinstance(node, ast.Expr) or _imports_later(node) for node in body), name


def _imports_later(node: ast.stmt) -> bool:
    """A module's `__getattr__`, which imports when it is asked, and the annotation it needs."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "typing"
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__"


def test_no_module_hides_one_of_the_standard_library() -> None:
    assert not {Path(name).stem for name in modules()} & (sys.stdlib_module_names - {"__main__"})
