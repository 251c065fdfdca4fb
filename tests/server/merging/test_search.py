"""Soups and searched coefficients, against scores whose best answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, distance
from renga.server.merging import merge
from renga.server.merging.search import Searching, search
from renga.server.merging.soups import greedy, uniform
from tests.server.merging.adapters_made import SHAPES, dense, made


def near(target):
    """A score: minus the distance to an adapter."""
    return lambda x: -(sum(np.linalg.norm(dense(x, n) - dense(target, n)) ** 2 for n in SHAPES) ** 0.5)


def test_the_greedy_soup_takes_what_helps():
    x, y = made(1), made(2)
    middle = merge([x, y]).adapter
    far = Adapter(made(3).factors, 600.0, 3, "base")
    soup = greedy([far, x, y], near(middle))
    assert soup.ingredients == (1, 2)
    assert distance(soup.merged.adapter, middle) < 1e-6
    assert soup.score >= max(map(near(middle), [far, x, y]))
    assert [stays for _, _, stays in soup.trace] == [True, True, False]
    assert uniform([x, y], near(middle)).score == pytest.approx(soup.score, abs=1e-3)
    with pytest.raises(UsageError, match="nothing to merge"):
        greedy([], near(x))


@pytest.mark.parametrize("by", ["cmaes", "bayes"])
def test_a_search_finds_the_coefficients_and_starts_no_worse_than_the_average(by):
    xs = [made(1, 2), made(2, 2)]
    target = merge(xs, "average", [1.0, -0.4], normalise=False).adapter
    found = search(xs, near(target), Searching(by=by, tries=40, seed=1))
    average = near(target)(merge(xs).adapter)
    assert found.tries[0][1] == pytest.approx(average, rel=1e-5)
    assert found.score > 0.5 * average  # scores are below zero: half of the distance is gone
    assert found.score == pytest.approx(near(target)(found.merged.adapter), rel=1e-6)
    if by == "cmaes":
        assert np.allclose(np.ravel(found.coefficients), [1.0, -0.4], atol=0.25)


@pytest.mark.parametrize("by", ["cmaes", "bayes"])
def test_a_search_goes_on_where_it_stopped(by, tmp_path):
    xs = [made(1, 1), made(2, 1)]
    target = merge(xs, "average", [0.2, 0.9], normalise=False).adapter
    calls = []

    def score(x):
        calls.append(1)
        return near(target)(x)

    whole = search(xs, score, Searching(by=by, tries=14, anchors=2, seed=3), trace=tmp_path / "whole")
    assert len(calls) == 14

    def failing(x):
        if len(calls) == 14 + 9:
            raise KeyboardInterrupt
        return score(x)

    with pytest.raises(KeyboardInterrupt):
        search(xs, failing, Searching(by=by, tries=14, anchors=2, seed=3), trace=tmp_path / "part")
    with (tmp_path / "part").open("a") as file:
        file.write('{"coefficients": [[0.1')  # killed in the middle of a line
    calls.clear()
    again = search(xs, score, Searching(by=by, tries=14, anchors=2, seed=3), trace=tmp_path / "part")
    assert len(calls) == 14 - 9
    assert again.tries == whole.tries
    assert (tmp_path / "part").read_text() == (tmp_path / "whole").read_text()
    assert len(json.loads((tmp_path / "part").read_text().splitlines()[1])["coefficients"][0]) == 2
    with pytest.raises(RengaError, match="another search"):
        search(xs, score, Searching(by=by, tries=14, anchors=2, seed=4), trace=tmp_path / "part")


def test_what_can_not_be_searched():
    with pytest.raises(UsageError, match="did you mean 'cmaes'"):
        _raised(lambda: search([made(1)], near(made(1)), Searching(by="cmae")))


def _raised(run):
    try:
        run()
    except UsageError as error:
        raise UsageError(f"{error.message} {error.hint}") from error
