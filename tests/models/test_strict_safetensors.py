"""What the safetensors library lets through, and an adapter's reader does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

from renga.errors import RefusedPayload, RengaError
from renga.models.adapter_files import load_peft, save_peft
from renga.models.strict_safetensors import Stored, read_header
from tests.models.test_adapter import adapter

PLAIN = {"a.lora_A.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def file(path: Path, header: Any, data: int = 24) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def test_what_peft_and_we_write_is_read(tmp_path: Path) -> None:
    save_file({"a.b": np.zeros((2, 3), np.float32), "a.c": np.zeros(4, np.float16)}, tmp_path / "x")
    assert read_header(tmp_path / "x") == {"a.b": Stored("F32", (2, 3)), "a.c": Stored("F16", (4,))}
    save_peft(adapter(), tmp_path / "adapter", "base")
    assert len(read_header(tmp_path / "adapter" / "adapter_model.safetensors")) == 6


ONE = json.dumps(PLAIN)[1:-1]
BAD: dict[str, tuple[Any, int]] = {
    "a doubled key": (f"{{{ONE}, {ONE}}}".encode(), 24),
    "a path": ({"../../etc/cron": PLAIN["a.lora_A.weight"]}, 24),
    "a slash": ({"a/b": PLAIN["a.lora_A.weight"]}, 24),
    "no name": ({"": PLAIN["a.lora_A.weight"]}, 24),
    "many tensors": (
        {f"t{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n in range(100_000)},
        400_000,
    ),
    "nothing": ({}, 0),
    "an empty shape of many": ({"a": {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [0, 0]}}, 0),
    "a huge shape": ({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 24]}}, 24),
    "whole numbers": ({"a": {"dtype": "I64", "shape": [3], "data_offsets": [0, 24]}}, 24),
    "a hole": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, 8),
    "bytes behind": (PLAIN, 25),
    "bytes missing": (PLAIN, 20),
    "a NaN": (b'{"__metadata__": {}, "a": NaN}', 0),
    "no table": (b"[]", 0),
    "pickle": (b"\x80\x04.", 0),
    "deep": (b"[" * 100_000, 0),
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_not_plain_is_refused(tmp_path: Path, how: str) -> None:
    header, data = BAD[how]
    with pytest.raises(RefusedPayload, match="safetensors refused"):
        read_header(file(tmp_path / "x", header, data))


def test_lying_lengths_are_refused(tmp_path: Path) -> None:
    for raw in (b"", b"1234567", (2**40).to_bytes(8, "little") + b"{}", (1).to_bytes(8, "little") + b"{}"):
        (tmp_path / "x").write_bytes(raw)
        with pytest.raises(RefusedPayload):
            read_header(tmp_path / "x")
    with pytest.raises(RefusedPayload, match="at most 10"):
        read_header(file(tmp_path / "x", PLAIN), largest=10)


def test_known_wrong_the_library_lets_a_doubled_key_through(tmp_path: Path) -> None:
    path = file(tmp_path / "x", BAD["a doubled key"][0])
    assert len(safetensors.deserialize(path.read_bytes())) == 1


def test_an_adapter_is_read_strictly(tmp_path: Path) -> None:
    save_peft(adapter(), tmp_path, "base")
    path = tmp_path / "adapter_model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    spoilt: Callable[[bytes], bytes] = lambda text: text.replace(b"q_proj", b"../etc", 1)  # noqa: E731
    path.write_bytes(raw[:8] + spoilt(raw[8 : 8 + length]) + raw[8 + length :])
    with pytest.raises(RengaError, match="name that no layer has"):
        load_peft(tmp_path)
