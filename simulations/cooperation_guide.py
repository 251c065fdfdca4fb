"""Guiding measured: does a text get the attribute, by a classifier that had no part in guiding it?"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from renga.models.contract import LanguageModel, Prompt, Sampling
from renga.models.cooperation.attributes import auroc, train
from renga.models.cooperation.guide import Conditioned, gedi, guide
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.search import search
from renga.models.cooperation.spans import tokens
from renga.models.generate import answer
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_tables import Sheet, texts

_FORMAL = (
    "We would be most grateful if you could {a} at your earliest convenience.",
    "I am writing to inquire whether it might be possible to {a}.",
    "Please be advised that the committee has resolved to {a} accordingly.",
    "It is with great pleasure that we request permission to {a}.",
    "Should you require further assistance, kindly {a} without delay.",
    "The undersigned respectfully suggests that the board {a} henceforth.",
)
_CASUAL = (
    "Hey, can you just {a} real quick?",
    "Gonna {a} later, you guys wanna come?",
    "Yeah so I kinda wanna {a}, no big deal.",
    "Dude, let's totally {a} tonight!",
    "Nah, I'm not gonna {a}, that's super lame.",
    "OK cool, just {a} and we're good, lol.",
)
_ACTIONS = (
    "open the gate",
    "send the letter",
    "repair the roof",
    "visit the harbour",
    "count the boxes",
    "call the office",
    "bring the papers",
    "clean the hall",
    "read the report",
    "join the meeting",
    "move the table",
    "buy the tickets",
)
_ASKED = (
    "Ask a neighbour to water the plants.",
    "Invite somebody to a dinner.",
    "Say that the train is late.",
    "Ask when the shop opens.",
    "Thank somebody for a gift.",
    "Refuse an offer.",
    "Ask for a day off.",
    "Report a broken lamp.",
)
_ASKING = {
    "formal": "Write very formally and politely.",
    "casual": "Write casually, in slang.",
}
TOKENS = 20


def measure(setting: Setting) -> dict[str, Any]:
    """Towards formal wording and towards casual; texts made by rule, the judge's from other templates than
    the guide's."""
    rng = random.Random(setting.seed)
    halves = [(templates[:3], templates[3:]) for templates in (_FORMAL, _CASUAL)]
    made = [[[t.format(a=a) for t in part for a in _ACTIONS] for part in half] for half in halves]
    for kind in made:
        for texts_ in kind:
            rng.shuffle(texts_)
    found = {}
    for name, (having, lacking) in (("formal", made), ("casual", made[::-1])):
        setting.tell(f"  {name}")
        found[name] = _towards(name, having, lacking, setting)
    return {"towards": found, "texts": len(_ASKED[: setting.some(8)])}


def _towards(
    name: str, having: Sequence[Sequence[str]], lacking: Sequence[Sequence[str]], setting: Setting
) -> dict[str, Any]:
    """having, lacking: texts with and without the wording, the guide's and the judge's."""
    guide_by = train(name, having[0], lacking[0], seed=setting.seed)
    judge = _bayes(having[1], lacking[1])
    held_out = auroc(*([guide_by.odds(t.encode()) for t in judged] for judged in (having[1], lacking[1])))
    edge, host = setting.load(setting.edge), setting.load(setting.host)
    one, other = (Conditioned(edge, _ASKING[wording]) for wording in sorted(_ASKING, key=name.__ne__))
    ways: dict[str, LanguageModel] = {
        "the model itself": edge,
        "asked for it (control)": one,
        "FUDGE, strength 2": guide(edge, guide_by, strength=2.0),
        "FUDGE, strength 6": guide(edge, guide_by, strength=6.0),
        "GeDi, strength 10": gedi(edge, one, other, strength=10.0, scale=4.0),
    }
    asked = _ASKED[: setting.some(8)]
    sampling = Sampling(temperature=0.8, max_tokens=TOKENS, seed=setting.seed)
    rows = {}
    for way, model in ways.items():
        setting.tell(f"    {way}")
        start = time.perf_counter()
        said = [answer(model, Prompt(q), sampling) for q in asked]
        rows[way] = _row(said, asked, judge, host, time.perf_counter() - start)
    start = time.perf_counter()
    found = search(
        edge, lambda _, text: 1 / (1 + math.exp(-guide_by.odds(text.encode()))), k=3, weight=0.9, steps=1
    )
    said = ["".join(p.text for p in found.respond(Prompt(q), sampling)) for q in asked]
    rows["search, the best of 3 by the predictor"] = _row(
        said, asked, judge, host, time.perf_counter() - start
    )
    return {"rows": rows, "held_out_auroc": held_out}


def _row(said: Sequence[str], asked: Sequence[str], judge: Any, host: Any, seconds: float) -> dict[str, Any]:
    pairs = [pair for text in said for words in [tokens(text)] for pair in pairwise(words)]
    costs = [
        -scored(host, Prompt(q), [t])[0].per_byte / math.log(2) for q, t in zip(asked, said, strict=True) if t
    ]
    return {
        "success": [judge(text) > 0 for text in said],
        "odds": sum(map(judge, said)) / len(said),
        "distinct": len(set(pairs)) / max(1, len(pairs)),
        "bits_per_byte": sum(costs) / max(1, len(costs)),
        "seconds": seconds / len(said),
        "said": list(said),
    }


def _bayes(having: Sequence[str], lacking: Sequence[str]) -> Any:
    """Naive Bayes over words: another kind of classifier than the guide's, fitted on other texts."""
    counts = [Counter(word for text in side for word in tokens(text)) for side in (having, lacking)]
    known = set(counts[0]) | set(counts[1])
    totals = [sum(c.values()) + len(known) for c in counts]

    def odds(text: str) -> float:
        return sum(
            math.log((counts[0][w] + 1) / totals[0]) - math.log((counts[1][w] + 1) / totals[1])
            for w in tokens(text)
            if w in known
        )

    return odds


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    return [_sheet(name, found, result) for name, found in result["towards"].items()]


def _sheet(name: str, found: Mapping[str, Any], result: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            way,
            f"{sum(r['success'])} of {len(r['success'])}",
            f"{r['odds']:+.1f}",
            f"{r['distinct']:.2f}",
            f"{r['bits_per_byte']:.2f}",
            f"{r['seconds']:.1f} s",
        )
        for way, r in found["rows"].items()
    ]
    return Sheet(
        f"Towards {name} wording, {result['edge']}",
        ("by", name, "log-odds", "distinct pairs", "bits per byte by the host", "an answer"),
        texts(rows),
        f"{result['texts']} requests, {TOKENS} tokens each. Whether it is {name}, and by what log-odds, says "
        "naive Bayes over words, fitted on other templates than the predictor that guides; the AUROC of that "
        f"one on them is {found['held_out_auroc']:.2f}. Bits per byte by {result['host']} say how natural a "
        "text is.",
    )
