"""The generated code is that of the .proto beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

ROOT = Path(__file__).parents[2]


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    made = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", *made, "renga/protocol/link.proto"]
    run(command, cwd=ROOT, check=True)
    for name in ("link_pb2.py", "link_pb2.pyi", "link_pb2_grpc.py"):
        fresh = (tmp_path / "renga" / "protocol" / name).read_text()
        assert fresh == (ROOT / "protocol" / name).read_text(), f"{name} is old: make proto"
