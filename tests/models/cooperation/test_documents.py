"""Documents, sentences and passages: every span is a place in the text, and nothing is lost or made up."""

import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError, UsageError
from renga.models.cooperation.documents import Document, read_document, read_documents, visible
from renga.models.cooperation.passages import passages_of
from renga.models.cooperation.spans import sentences, tokens, words

TEXTS = st.text(alphabet="ab. !?\n。é連3,", max_size=300)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_sentences_hold_all_but_spaces_in_order(text):
    found = sentences(text)
    assert "".join("".join(s.of(text).split()) for s in found) == "".join(text.split())
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It cost 3.5 million. It fell.", ["It cost 3.5 million.", "It fell."]),
        ("Dr. Smith met J. Doe. They spoke.", ["Dr. Smith met J. Doe.", "They spoke."]),
        ('He said "Go!" Then he went.', ['He said "Go!"', "Then he went."]),
        ("詩です。次の句。", ["詩です。", "次の句。"]),
        ("one line\nanother", ["one line", "another"]),
        ("", []),
    ],
)
def test_where_sentences_end(text, parts):
    assert [s.of(text) for s in sentences(text)] == parts


def test_words_keep_numbers_whole_and_scripts_without_spaces_are_cut():
    assert [s.of("It's 3,141.5 m-high, ok.") for s in words("It's 3,141.5 m-high, ok.")] == [
        "It's", "3,141.5", "m-high", "ok",
    ]  # fmt: skip
    assert tokens("連歌会 Renga") == ["連歌", "歌会", "renga"]


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(5, 60), st.integers(0, 2))
def test_passages_are_what_stands_at_their_spans_and_hold_every_sentence(text, size, overlap):
    document = Document("d", text)
    found = passages_of(document, size=size, overlap=overlap)
    covered = set()
    for passage in found:
        span = passage.citation.span
        assert span is not None
        assert span.of(text) == passage.text
        assert 0 < len(passage.text) <= size
        covered |= set(range(span.start, span.end))
    assert all(text[i].isspace() for i in range(len(text)) if i not in covered)
    starts = [p.citation.span.start for p in found if p.citation.span]
    assert starts == sorted(set(starts))


def test_html_shows_what_a_browser_shows():
    page = (
        "<html><head><title>t</title><style>p{}</style></head><body><p>One <b>bold</b>\nword &amp; more</p>"
        "<script>evil('<p>')</script><ul><li>a</li><li>b</li></ul><table><tr><td>x</td><td>y</td></tr></table>"
    )
    assert visible(page) == "One bold word & more\na\nb\nx y"
    assert visible("<p>open <b>and never closed") == "open and never closed"


def pdf(*pages):
    """A PDF of one line a page, made by hand."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(len(pages)))
    objects.append(b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)))
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for i, text in enumerate(pages):
        content = b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % text.encode()
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * i)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    out = io.BytesIO(b"")
    out.write(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def test_a_pdf_is_cited_by_page(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf("The first page.", "The second page."))
    document = read_document(tmp_path / "a.pdf")
    second = passages_of(document, size=20, overlap=0)[1]
    assert second.text == "The second page."
    assert str(second.citation) == "a.pdf, page 2, characters 16–32"


def test_a_folder_is_read_by_name(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.md").write_text("# B")
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "c.bin").write_bytes(b"\0")
    assert [d.source for d in read_documents([tmp_path])] == ["a.txt", "sub/b.md"]


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("a.docx", b"x", UsageError, "can't read .docx"),
        ("a.txt", b"\xff\xfe\x00", UsageError, "a.txt:1: not UTF-8"),
        ("a.pdf", b"%PDF-1.4 nonsense", RengaError, "no PDF that can be read"),
        ("a.pdf", b"", RengaError, "no PDF that can be read"),
        ("a.pdf", pdf(""), RengaError, "no text in it"),
        ("missing.txt", None, UsageError, "no such file"),
    ],
)
def test_files_that_are_not_what_they_claim(tmp_path, name, content, kind, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=said):
        read_document(tmp_path / name)
