"""Persons where the form of writing says so, and what is written alike and is nobody's."""

import pytest

from renga.client.sanitisation.names_written import written


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("- H. Ferris asked about the lease", ["H. Ferris"]),
        ('signed "best, K. Holloway" but', ["K. Holloway"]),
        ("Apologies: R. Dalton\n1. Roof", ["R. Dalton"]),
        ("Marsh, Colin / DOB 02/03/1951", ["Marsh, Colin"]),
        ("slots: 3.10 Wren, 3.20 Novak, 3.30 break, 3.40 Adeyemi.", ["Wren", "Novak", "Adeyemi"]),
        ("the surname is Doyle that's D-O-Y-L-E and", ["D-O-Y-L-E", "Doyle"]),
        ("anwesend waren Kessler und Vogt sowie", ["Kessler", "Vogt"]),
        ("La doctora Quintana me dio", ["Quintana"]),
        ("hausarzt Lindner meint es", ["Lindner"]),
        ("Protokoll 3.5.: Kessler fehlt, Lindner übernimmt Deployment", ["Kessler", "Lindner"]),
        ("Write it. From me, Nadia, to all", ["Nadia"]),
        ("弊社青山が本日体調不良のため", ["青山"]),
        ("父の車ですが、私みゆきも運転できる？", ["みゆき"]),
    ],
)
def test_the_form_of_writing_says_who_it_is(text: str, names: list[str]) -> None:
    assert [text[f.start : f.end] for f in written(text)] == names


@pytest.mark.parametrize(
    "text",
    [
        "- A. Boil the rice",
        "Apologies: S. America is late",
        "Bread, milk, 3.10 euros",
        "Paris, France, 2021-03-04",
        "see example.org, Colin (192.0.2.7)",
        "3.10 lunch, 3.20 Break, 3.30 Tea",
        "the A-B-C-D method of triage",
        "anwesend waren alle und niemand",
        "la doctora me dio la pastilla",
        "hausarzt meint es ist Stress",
        "Protokoll: Budget fehlt, Team übernimmt Deployment",
        "Le client final paie, le client HTTP répond",
        "弊社製品が本日発売です",
        "私も運転できる？",
    ],
)
def test_what_is_written_alike_is_nobodys(text: str) -> None:
    assert not list(written(text))
