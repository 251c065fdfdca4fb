"""`renga sanitise`, `renga restore`, `renga vault`, as pipes meet them."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renga import sanitising
from renga.boundary import enter
from renga.cli import run
from renga.client.sanitisation.desk import Desk
from renga.sanitising import restore, sanitise

TEXT = "Dear Jane Doe,\nyour card 4539 4487 0134 3918\nhas expired. jane.doe@nordvik-labs.io\n"


class Said(NamedTuple):
    status: int
    out: str
    err: str


Renga = Callable[..., Said]


class Bytes(NamedTuple):
    buffer: io.BytesIO


@pytest.fixture
def renga(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renga:
    monkeypatch.setenv("RENGA_VAULT", str(tmp_path / "vault" / "vault.db"))
    monkeypatch.chdir(tmp_path)

    def renga(*arguments: object, stdin: str | bytes = b"") -> Said:
        capfd.readouterr()
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", Bytes(io.BytesIO(data)))
        status = enter([str(argument) for argument in arguments], run)
        out, err = capfd.readouterr()
        return Said(status, out, err)

    return renga


def test_text_goes_out_clean_and_comes_back_whole(renga: Renga, tmp_path: Path) -> None:
    clean = renga("sanitise", "--conversation", "c", stdin=TEXT)
    assert clean.status == 0 and "Doe" not in clean.out and "4539" not in clean.out
    assert clean.out.count("\n") == 3
    assert renga("restore", "--conversation", "c", stdin=clean.out).out == TEXT
    (tmp_path / "letter.txt").write_text(TEXT)
    assert renga("sanitise", "letter.txt", "--conversation", "c").out == clean.out
    other = renga("sanitise", stdin=TEXT).out  # nothing is kept, nothing is linked
    assert other != clean.out
    assert "Doe" not in renga("restore", "--conversation", "c", stdin=other).out


def test_json_says_per_line_what_was_replaced_and_originals_only_when_asked(renga: Renga) -> None:
    lines = TEXT.split("\n")
    said = [json.loads(line) for line in renga("sanitise", "--json", stdin=TEXT).out.splitlines()]
    assert len(said) == 3
    for line, one in zip(lines, said, strict=False):
        assert set(one) == {"text", "entities"} and one["entities"]
        rebuilt, at = "", 0
        for entity in one["entities"]:
            assert set(entity) == {"start", "end", "type", "surrogate"}
            rebuilt += line[at : entity["start"]] + entity["surrogate"]
            at = entity["end"]
        assert rebuilt + line[at:] == one["text"]
    assert [e["type"] for one in said for e in one["entities"]] == ["PERSON", "CREDIT_CARD", "EMAIL"]
    revealed = json.loads(renga("sanitise", "--json", "--reveal", stdin=TEXT).out.splitlines()[0])
    assert revealed["entities"][0]["original"] == "Jane Doe"


def test_a_secret_of_many_lines_is_hidden_on_each(renga: Renga) -> None:
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQ=="
    key = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"
    said = renga("sanitise", "--json", "--conversation", "k", stdin=f"here:\n{key}\nthanks\n").out
    texts = [json.loads(line)["text"] for line in said.splitlines()]
    assert texts[0] == "here:" and texts[-1] == "thanks"
    assert not re.search("MII|AAS|BEGIN|END", "".join(texts))
    back = [
        json.loads(line)["text"]
        for line in renga("restore", "--conversation", "k", stdin=said).out.splitlines()
    ]
    assert "\n".join(back[1:-1]) == key


def test_jsonl_gives_jsonl_with_id_and_keeps_conversations_apart(renga: Renga) -> None:
    records: list[dict[str, Any]] = [
        {"id": 1, "text": "I am Jane Doe", "conv": "a"}, {"id": "two", "text": "Jane Doe again", "conv": "a"},
        {"id": 3, "text": "I am Jane Doe", "conv": "b"}, {"id": 4, "text": "no names here"},
    ]  # fmt: skip
    said = renga("sanitise", stdin="\n".join(map(json.dumps, records)) + "\n\n")
    out = [json.loads(line) for line in said.out.splitlines()]
    assert [one["id"] for one in out] == [1, "two", 3, 4]
    tags = [[entity["surrogate"] for entity in one["entities"]] for one in out]
    assert tags[0] == tags[1] != tags[2] and tags[3] == [] and out[3]["text"] == "no names here"
    assert renga("restore", "--conversation", "a", stdin=out[0]["text"]).out == "I am Jane Doe"


def test_jsonl_of_several_conversations_comes_back_whole(renga: Renga) -> None:
    records = [
        {"id": 1, "text": "I am Jane Doe", "conv": "a"}, {"id": 2, "text": "and I am Kim Roe", "conv": 7},
    ]  # fmt: skip
    for named in ([], ["--conversation", "all"]):
        said = renga("sanitise", *named, stdin="\n".join(map(json.dumps, records)))
        assert "Doe" not in said.out and "Roe" not in said.out
        back = renga("restore", *named, stdin=said.out)
        assert [json.loads(line)["text"] for line in back.out.splitlines()] == [
            one["text"] for one in records
        ]
    assert "--conversation" in renga("restore", stdin="which one?").err
    assert "no conversation 'c'" in renga("restore", stdin='{"text": "x", "conv": "c"}').err


def test_text_is_restored_as_it_comes_though_no_line_ends(renga: Renga) -> None:
    tag = renga("sanitise", "--conversation", "c", stdin="Jane Doe").out
    process = subprocess.Popen(
        [sys.executable, "-m", "renga", "restore", "--conversation", "c"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(sanitising.__file__).parents[1],
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"Dear {tag} and".encode())
    process.stdin.flush()
    assert process.stdout.read(13) == b"Dear Jane Doe"
    process.stdin.close()
    process.stdout.close()
    process.wait(20)


def test_a_byte_order_mark_hides_no_record_and_a_well_of_brackets_none_either(renga: Renga) -> None:
    said = renga("sanitise", "--conversation", "c", stdin='\ufeff{"id": 1, "text": "Jane Doe"}\n')
    assert json.loads(said.out)["id"] == 1
    back = renga("restore", "--conversation", "c", stdin="\ufeff" + said.out)
    assert json.loads(back.out)["text"] == "Jane Doe"
    deep = '{"text": "Jane Doe", "id": ' + "[" * 100_000 + "]" * 100_000 + "}"
    said = renga("sanitise", stdin=deep)
    assert said.status == 0 and "Doe" not in said.out + said.err
    assert renga("sanitise", stdin='{"text": "x"}\n' + deep).status == 2
    assert "--json" in renga("sanitise", "--reveal", stdin="x").err


def test_jsonl_streams() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "renga", "sanitise"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    for id in range(3):
        process.stdin.write(json.dumps({"id": id, "text": "hello"}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == id
    process.stdin.close()
    process.stdout.close()
    assert process.wait(20) == 0


def test_a_record_that_cant_be_sanitised_is_told_and_the_stream_goes_on(renga: Renga, tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "sanitisation.toml").write_text('[kinds]\nEMAIL = "block"\n')
    records = [{"id": 1, "text": "to jane.doe@nordvik-labs.io"}, {"id": 2, "text": "fine"}]
    said = renga("sanitise", stdin="\n".join(map(json.dumps, records)))
    out = [json.loads(line) for line in said.out.splitlines()]
    assert (
        said.status == 1
        and "1 EMAIL" in out[0]["error"]
        and "text" not in out[0]
        and out[1]["text"] == "fine"
    )
    assert "jane" not in said.out + said.err


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12),
            st.sampled_from(
                ["Jane Doe", "a.b@nordvik-labs.io", '<a href="', "https://x.io/", "\n", "[x](", ")", '">']
            ),
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_survives_the_two_commands(tmp_path: Path, text: str) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    with_vault = Desk(tmp_path / "vault.db")
    out: list[str] = []
    sanitise(io.BytesIO(data), out.append, with_vault, "c", as_json=False, reveal=False)
    back: list[str] = []
    left = "".join(out).encode()
    restore(io.BytesIO(left), back.append, lambda named: with_vault.vault.conversation("c"), ())
    if not text.lstrip().startswith("{"):
        assert "".join(back) == text
    with_vault.vault.close()


def test_a_text_longer_than_a_block_is_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanitising, "BLOCK", 600)
    text = '<a title="\n' + "lorem ipsum\n" * 150 + "Jane Doe\n" * 3
    desk, out, back = Desk(tmp_path / "vault.db"), list[str](), list[str]()
    sanitise(io.BytesIO(text.encode()), out.append, desk, "c", as_json=False, reveal=False)
    assert len(out) > 1 and "Jane" not in "".join(out)
    restore(io.BytesIO("".join(out).encode()), back.append, lambda named: desk.vault.conversation("c"), ())
    assert "".join(back) == text


class TestBadInput:
    def test_empty_binary_and_halves_of_characters(self, renga: Renga) -> None:
        assert renga("sanitise") == (0, "", "")
        assert renga("sanitise", "--json", stdin=b"\n") == (0, '{"text": "", "entities": []}\n', "")
        binary = renga("sanitise", stdin=b"fine\n\x7fELF\xff\xfe Jane Doe")
        assert binary.status == 2 and "line 2, byte 5" in binary.err and "Jane" not in binary.err + binary.out
        halves = renga("sanitise", stdin='{"id": 1, "text": "\\ud83d Jane Doe \\ude00"}\n')
        assert halves.status == 0 and re.fullmatch(
            "\ud83d (?!Jane)[^<>]+ \ude00", json.loads(halves.out)["text"]
        )
        assert renga("sanitise", stdin='{"id": 1, "text": "x"}\n{"id": 2}\n').status == 2

    def test_right_to_left_text_and_nested_encodings(self, renga: Renga) -> None:
        text = "שלום jane.doe@nordvik-labs.io \u202eevil\u202c amFuZS5kb2VAbm9yZHZpay1sYWJzLmlv"
        text += " %6Aane.doe%40nordvik-labs.io jane.doe%252540nordvik-labs.io\n"
        clean = renga("sanitise", "--conversation", "r", stdin=text)
        assert "jane" not in clean.out and "amFuZS5kb2V" not in clean.out and "%6Aane" not in clean.out
        assert renga("restore", "--conversation", "r", stdin=clean.out).out == text

    def test_a_line_without_end_is_refused_before_it_is_in_memory(self, renga: Renga, tmp_path: Path) -> None:
        huge = tmp_path / "huge.txt"
        with open(huge, "wb") as file:
            file.truncate(3 << 30)  # a hole of three gigabytes
        said = renga("sanitise", huge)
        assert said.status == 2 and "line 1 has more than 16 MiB" in said.err

    def test_what_is_not_there(self, renga: Renga, tmp_path: Path) -> None:
        assert "no file" in renga("sanitise", "nothing.txt").err
        assert "no conversation 'x'" in renga("restore", "--conversation", "x", stdin="a").err
        assert not (tmp_path / "vault" / "vault.db").exists()
        assert renga("restore", "--conversation", "x", "--into", "lnk").status == 2
        assert "no conversation" in renga("vault", "erase", "x").err
        assert renga("vault", "list").out == ""

    def test_a_wrong_rule_names_the_nearest(self, renga: Renga, tmp_path: Path) -> None:
        rules = tmp_path / "vault" / "sanitisation.toml"
        rules.parent.mkdir()
        for written, hint in [
            ('[kinds]\nPERSONS = "block"\n', "'PERSON'"), ('styl = "tag"\n', "'style'"),
            ('[kinds]\nPERSON = "hide"\n', "kinds.PERSON"), ("style = \n", "sanitisation.toml"),
            ('[[always]]\nkind = "PERSON"\nsealed = "QUJD"\n', "sealed by this vault"),
        ]:  # fmt: skip
            rules.write_text(written)
            said = renga("sanitise", stdin="x")
            assert said.status != 0 and hint in said.err, said

    def test_a_disk_without_room(self, tmp_path: Path) -> None:
        def no_room() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        done = subprocess.run(
            [sys.executable, "-c", "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
             "from renga.cli import main; sys.argv[0] = 'renga'; main()", "sanitise", "--conversation", "c"],
            input=TEXT, text=True, capture_output=True, preexec_fn=no_room,
            env={"PATH": "", "RENGA_VAULT": str(tmp_path / "v.db"), "PYTHONPATH": str(Path.cwd()),
                 "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert done.returncode == 1 and done.stdout == "" and "no room" in done.stderr, done
        assert "Doe" not in done.stderr
        assert all(b"Doe" not in path.read_bytes() for path in tmp_path.iterdir())


def test_the_vault_lists_exports_imports_and_erases(
    renga: Renga, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from renga.client.sanitisation import sealing

    monkeypatch.setattr(sealing, "MEMORY", 64)
    clean = renga("sanitise", "--conversation", "c", stdin=TEXT).out
    (listed,) = json.loads(renga("vault", "list", "--json").out)
    assert listed["name"] == "c" and listed["counts"] == {"PERSON": 1, "CREDIT_CARD": 1, "EMAIL": 1}
    assert "1 PERSON" in renga("vault", "list").out
    monkeypatch.setenv("RENGA_EXPORT_PASSPHRASE", "p")
    assert renga("vault", "export", "c", "c.renga").status == 0
    assert renga("vault", "erase", "c").status == 0
    assert renga("restore", "--conversation", "c", stdin=clean).status == 2
    assert renga("vault", "import", "c.renga").status == 0
    assert renga("restore", "--conversation", "c", stdin=clean).out == TEXT
    monkeypatch.setenv("RENGA_NEW_PASSPHRASE", "new")
    assert renga("vault", "relock").status == 0
    assert "RENGA_PASSPHRASE" not in os.environ
    assert "locked with a passphrase" in renga("vault", "list").err
    monkeypatch.setenv("RENGA_PASSPHRASE", "new")
    assert renga("restore", "--conversation", "c", stdin=clean).out == TEXT


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    """As `renga sanitise … | head -1`: nothing is said of the pipe that closed."""
    done = subprocess.run(
        f"""yes '{{"text": "hi"}}' | {sys.executable} -m renga sanitise --no-names | head -1""",
        shell=True, capture_output=True, text=True, cwd=Path(sanitising.__file__).parents[1], timeout=60,
    )  # fmt: skip
    assert done.stdout.count("\n") == 1 and done.stderr == ""
