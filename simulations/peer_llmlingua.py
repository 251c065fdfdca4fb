"""LLMLingua as its authors publish it, as a process of its own: passages as JSON lines in, what it leaves of
them as JSON lines out.

Runs under the Python of an environment that has llmlingua and a transformers that it works with (4.46), so
that their pins never meet ours; it imports nothing of Renga. Its one argument is the folder of a model.
"""

from __future__ import annotations

import json
import sys
import time
from types import ModuleType
from typing import Any

LONG = {
    "rank_method": "longllmlingua",
    "condition_in_question": "after_condition",
    "condition_compare": True,
    "reorder_context": "sort",
    "concate_question": False,
}
"""As the authors recommend where the question is known (arXiv:2310.06839)."""


class _Words:
    def encode(self, text: str, **_: Any) -> list[str]:
        return text.split()


def compressor(folder: str) -> Any:
    """What it counts OpenAI's tokens with would come from the network; words stand in, for it only counts."""
    import transformers  # noqa: F401 before there is a module called tiktoken, whose parts it would look for

    tiktoken: Any = ModuleType("tiktoken")
    tiktoken.encoding_for_model = lambda name: _Words()
    sys.modules["tiktoken"] = tiktoken
    from llmlingua import PromptCompressor

    return PromptCompressor(folder, device_map="cpu")


def main() -> None:
    made = compressor(sys.argv[1])
    from importlib.metadata import version

    print(json.dumps({"version": version("llmlingua")}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        how = {"question": asked["question"], **LONG} if asked["question"] else {}
        # Its segments are of 200 tokens, and it leaves the last, shorter one as it is: a passage of fewer
        # would come back whole. So it is read in three, each cut down behind what was left before it.
        length = len(made.tokenizer("\n\n".join(asked["parts"]))["input_ids"])
        how["iterative_size"] = min(200, max(1, length // 3))
        try:
            found = made.compress_prompt(asked["parts"], target_token=asked["budget"], **how)
            text = found["compressed_prompt"]
        except Exception as error:  # noqa: BLE001 a peer that fails is a result
            print(json.dumps({"failed": f"{type(error).__name__}: {str(error)[:120]}"}), flush=True)
            continue
        print(json.dumps({"text": text, "seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
