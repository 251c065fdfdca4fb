"""Private prompts between real processes: by command, by the daemon's endpoint, by chat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.renga.processes import ROOT, Here, Nursery

pytestmark = pytest.mark.slow
PROMPT = "I am Jane Quillfeather, jane.quill@nordvik-labs.io. Who is all 1?"
BOTH = {"EMAIL": 1, "PERSON": 1}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    nursery = Nursery()
    made = Here(tmp_path, nursery)
    yield made
    made.close()
    nursery.close()


def asked_by_the_endpoint(here: Here) -> None:
    state = here.folder / "client-ada"
    url = json.loads((state / "endpoint.json").read_text())["url"]
    assert (state / "endpoint.token").stat().st_mode & 0o077 == 0
    token = (state / "endpoint.token").read_text().strip()
    client = openai.OpenAI(base_url=url, api_key=token, max_retries=0, timeout=120)
    assert {"edge", "host"} <= {model.id for model in client.models.list()}
    asked: list[tuple[str, dict[str, int]]] = [
        ("host", BOTH), ("edge", {}), (str(here.model), {}), ("speculate(edge, host)", BOTH),
    ]  # fmt: skip
    for name, hidden in asked:
        made = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": PROMPT}], max_tokens=3
        )
        told = made.model_dump()["renga"]
        assert told["hidden"] == hidden and (told["bytes_sent"] > 0) == bool(hidden), (name, told)
        assert made.usage is not None and made.usage.completion_tokens <= 3
    one, two = client.embeddings.create(model="edge", input=["Who is all 1?", "Who is all 2?"]).data
    assert len(one.embedding) == len(two.embedding) > 1 and one.embedding != two.embedding


def talked(here: Here, *lines: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "renga", "chat", "--state", "client-ada", "--max-tokens", "3",
         "--model", str(here.model)],
        cwd=here.folder, env={**os.environ, **here.environment, "PYTHONPATH": str(ROOT)}, text=True,
        input="".join(f"{line}\n" for line in lines), capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_private_prompts_by_command_endpoint_and_chat(here: Here) -> None:
    here.server("--dev")
    here.client("ada", "--dev", "--name", "ada")
    here.attached("ada")
    said = here.run("ask", PROMPT, "--state", "client-ada", "--max-tokens", "3")
    assert "hidden: 1 EMAIL, 1 PERSON" in said and "by host" in said
    asked_by_the_endpoint(here)
    said = talked(
        here, PROMPT, "And Jane?", "/history", "/plan", "/plan nobody", "/review", PROMPT, "q", "/quit"
    )
    assert "hidden: 1 EMAIL, 1 PERSON" in said and "* host" in said and "nothing was sent" in said
    assert "there is no model 'nobody'" in said
    history = [line for line in said.splitlines() if line.startswith("  user:")]
    assert len(history) == 2 and "Jane" not in "".join(history) and "Quill" not in "".join(history)
    assert history[1].split()[-1].rstrip("?") in history[0]  # she is the same somebody

    ledger = json.loads(here.run("ledger", "--state", "client-ada", "--json"))
    kinds = [entry["kind"] for entry in ledger]
    assert kinds.count("prompt") == 4 and kinds.count("session") >= 1
    kept = [path for path in here.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"Quillfeather" in path.read_bytes()]
