"""What a whole federation takes: who sends how much, the largest memory, the time, the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from renga.config import Config
from renga.models.example import Example
from renga.simulations import estimate
from renga.simulations.estimate import Shape, Texts

# Seconds beside learning and reading: imports and loading models.
STARTING = 15.0
# A client's adapter is kept as its own, its frozen and its merged one.
KEPT_ADAPTERS = 3


@dataclass(frozen=True)
class Participant:
    """What one side of the federation is and does per round. Bytes of knowledge are an upper bound."""

    name: str
    model: str
    parameters: int | None
    rank: int
    adapter_numbers: int | None
    texts: int
    held_out: int
    tokens: int
    adapter_bytes: int | None = None
    rows_up_bytes: int | None = None
    rows_down_bytes: int | None = None


@dataclass(frozen=True)
class Data:
    """All that the config names, read. `private` and `held_out` are by client."""

    private: Mapping[str, list[Example]]
    held_out: Mapping[str, list[Example]]
    transfer: list[Example]
    validation: list[Example]


def adapted(shape: Shape, modules: str) -> list[str]:
    """The layers that `modules` names."""
    from renga.models.weights import chosen

    return list(chosen(dict(shape.linear), modules))


def participants(config: Config, data: Data, shapes: Mapping[str, Shape]) -> Iterable[Participant]:
    """Every client, then the host."""
    rows = _rows(config, data)
    host = shapes.get(config.host.model)
    for client in config.clients:
        shape, edge = shapes.get(client.edge.model), client.edge
        numbers = shape.adapter_numbers(edge.rank, adapted(shape, edge.modules)) if shape else None
        # The host's rows that a client asks for are those of as many texts as it can afford to learn from.
        affordable = min(1.0, edge.transfer_tokens / max(1.0, rows.tokens))
        yield Participant(
            name=client.name,
            model=edge.model,
            parameters=shape.parameters if shape else None,
            rank=edge.rank,
            adapter_numbers=numbers,
            texts=len(data.private[client.name]),
            held_out=len(data.held_out[client.name]),
            tokens=edge.tokens + edge.transfer_tokens,
            adapter_bytes=None if numbers is None else round(numbers * estimate.CODING_BYTES[edge.coding]),
            rows_up_bytes=_rows_bytes(config, shape, rows.response_tokens),
            rows_down_bytes=_rows_bytes(config, host, affordable * rows.response_tokens),
        )
    yield Participant(
        name="host",
        model=config.host.model,
        parameters=host.parameters if host else None,
        rank=config.host.rank,
        adapter_numbers=host.adapter_numbers(config.host.rank, adapted(host, config.host.modules))
        if host
        else None,
        texts=len(data.transfer),
        held_out=len(data.validation),
        tokens=config.host.tokens,
    )


def _slice(config: Config, data: Data) -> Sequence[Example]:
    """One round's part of the transfer set."""
    labelled = [example for example in data.transfer if example.response is not None]
    bare = [example for example in data.transfer if example.response is None]
    return labelled[: config.transfer.slice or None] + bare[: config.transfer.questions or None]


def _rows(config: Config, data: Data) -> Texts:
    """What rows may be about in one round; a bare prompt's answer is taken to be as long as it may be."""
    chosen = _slice(config, data)
    texts = estimate.measure(chosen)
    bare = sum(example.response is None for example in chosen)
    return replace(texts, response_tokens=texts.response_tokens + bare * config.transfer.answer_tokens)


def _rows_bytes(config: Config, shape: Shape | None, tokens: float) -> int | None:
    return (
        None if shape is None else round(tokens * estimate.row_bytes(config.transfer.top_k, shape.vocabulary))
    )


def traffic(sides: Sequence[Participant]) -> int:
    """Both directions, all clients: adapters go up and, merged, down; rows go up at most once per text."""
    adapters = sum(2 * (one.adapter_bytes or 0) for one in sides)
    down = sum(one.rows_down_bytes or 0 for one in sides)
    # Of each text only one client's rows are asked for.
    return adapters + down + max(one.rows_up_bytes or 0 for one in sides)


def memory(config: Config, data: Data, shapes: Mapping[str, Shape]) -> int:
    """Bytes at the worst moment: all weights and adapters, and one step of whoever takes most."""
    peaks = []
    kept = 0
    transfer = estimate.measure(data.transfer)
    for client in config.clients:
        shape, edge = shapes[client.edge.model], client.edge
        adapter = shape.adapter_numbers(edge.rank, adapted(shape, edge.modules))
        kept += KEPT_ADAPTERS * adapter * 4
        for texts in (estimate.measure(data.private[client.name]), transfer):
            peaks.append(estimate.learning_bytes(shape, adapter, edge.batch, texts))
        peaks.append(estimate.reading_bytes(shape, config.evaluate.batch, _all(data.held_out)))
    host = shapes[config.host.model]
    adapter = host.adapter_numbers(config.host.rank, adapted(host, config.host.modules))
    peaks.append(estimate.learning_bytes(host, adapter, config.host.batch, transfer))
    peaks.append(estimate.reading_bytes(host, config.evaluate.batch, _all(data.held_out)))
    sizes = [4 * shape.parameters for shape in shapes.values()]
    peaks.append(max(sizes))  # while a model is loaded it may be there twice
    return round(estimate.PROCESS_BYTES + sum(sizes) + kept + max(peaks))


def _all(held_out: Mapping[str, list[Example]]) -> Texts:
    return estimate.measure([example for examples in held_out.values() for example in examples])


def seconds(config: Config, data: Data, shapes: Mapping[str, Shape]) -> float:
    """Learning, reading for losses, and the tables: before, alone, and after."""
    speed = estimate.matrix_speed(config.threads)
    rows = _rows(config, data)
    limited = {name: examples[: config.evaluate.limit or None] for name, examples in data.held_out.items()}
    tables = _all(limited)
    choices = 1.5 if config.evaluate.accuracy else 1.0  # choices and answers are read too
    host = shapes[config.host.model]
    after = config.rounds if config.evaluate.every else 1
    untouched = {config.host.model, *(client.edge.model for client in config.clients)}
    reading = {model: _reading(shapes[model], tables, speed) for model in untouched}
    total = STARTING + sum(choices * seconds for seconds in reading.values())
    for client in config.clients:
        model = client.edge.model
        shape = shapes[model]
        texts = estimate.measure(data.private[client.name])
        alone = config.baselines.alone
        learned = config.rounds * (client.edge.tokens + client.edge.transfer_tokens)
        # Its first private step a client does alone anyway.
        learned += alone * (config.rounds - 1) * client.edge.tokens
        total += _learning(shape, learned, texts, speed)
        total += config.rounds * _reading(shape, rows, speed)
        total += config.rounds * _answering(config, shape, data, speed)
        total += (after + alone) * choices * _share_measured(config, limited, client.name) * reading[model]
    runs = 1 + config.baselines.public + config.baselines.centralised
    total += runs * config.rounds * _learning(host, config.host.tokens, rows, speed)
    total += config.rounds * (
        _reading(host, rows, speed) + 2 * _reading(host, estimate.measure(data.validation), speed)
    )
    return total + (after + runs - 1) * choices * _reading(host, tables, speed)


def _share_measured(config: Config, held_out: Mapping[str, list[Example]], name: str) -> float:
    """Of all held-out texts those that one client is measured on."""
    everything = sum(map(len, held_out.values()))
    chosen = len(held_out[name]) + config.evaluate.others if config.evaluate.others else everything
    return min(1.0, chosen / max(1, everything))


def _learning(shape: Shape, tokens: float, texts: Texts, speed: float) -> float:
    responses = tokens * texts.response_tokens / max(1.0, texts.tokens)
    return estimate.seconds(shape, tokens, responses, estimate.LEARN_FLOPS, speed)


def _reading(shape: Shape, texts: Texts, speed: float) -> float:
    return estimate.seconds(shape, texts.tokens, texts.response_tokens, estimate.READ_FLOPS, speed)


def _answering(config: Config, shape: Shape, data: Data, speed: float) -> float:
    """One greedy answer to each bare prompt, by one client where labelled texts say who knows its domain."""
    chosen = _slice(config, data)
    bare = [example for example in chosen if example.response is None]
    known = {example.domain for example in chosen if example.response is not None} - {""}
    each = sum(1 / len(config.clients) if example.domain in known else 1 for example in bare)
    share = each / max(1, len(bare))
    answers = share * len(bare)
    written = answers * config.transfer.answer_tokens
    read = share * estimate.measure(bare).prompt_tokens
    return estimate.seconds(shape, read + written, answers + written, estimate.READ_FLOPS, speed)


def disk(config: Config, sides: Sequence[Participant]) -> int:
    """Adapters of every round on the server's side, and what clients keep."""
    numbers = sum(one.adapter_numbers or 0 for one in sides)
    return round(4 * numbers * (config.rounds + KEPT_ADAPTERS))
