"""Slow references, straight from the papers' formulas: whole arrays, float64, full sorts, loops over inputs.

`d` is a list of updates, `w` the weights; results are means (see renga/server/merging/shares.py).
"""

import itertools

import numpy as np


def flat(d):
    return [np.asarray(x, np.float64).reshape(-1) for x in d]


def of_sum_one(w):
    return [x / sum(w) for x in w]


def mean(d, w):
    return sum(x * s for x, s in zip(flat(d), of_sum_one(w), strict=True))


def trimmed(x, density):
    """The int(density * size) largest of one update; everything that ties with the smallest of them too."""
    order = sorted(np.abs(x), reverse=True)
    least = order[max(1, int(density * x.size)) - 1]
    return np.where(np.abs(x) >= least, x, 0)


def between(x, density, gamma):
    order = np.sort(np.abs(x))
    count = max(1, int(density * x.size))
    first = max(0, x.size - count - int(gamma * x.size))
    return np.where((np.abs(x) >= order[first]) & (np.abs(x) <= order[first + count - 1]), x, 0)


def elected(d, w, even=0.0):
    """TIES, steps 2 and 3, one element at a time."""
    result = np.zeros(d[0].size)
    for p in range(d[0].size):
        sign = np.sign(sum(x[p] * s for x, s in zip(d, w, strict=True))) or even
        agreeing = [(x[p], s) for x, s in zip(d, w, strict=True) if np.sign(x[p] * s) == sign and sign]
        if agreeing:
            result[p] = sum(x * s for x, s in agreeing) / sum(s for _, s in agreeing)
    return result


def magnitude(d, w, density):
    return mean([trimmed(x, density) for x in flat(d)], w)


def ties(d, w, density, even=0.0):
    return elected([trimmed(x, density) for x in flat(d)], of_sum_one(w), even)


def breadcrumbs(d, w, density, gamma):
    return mean([between(x, density, gamma) for x in flat(d)], w)


def uniform(words):
    """The number in [0, 1) that decides over an element."""
    return words / 2**32


def dare(d, density, words):
    return [np.where(uniform(u) < density, x / density, 0) for x, u in zip(flat(d), words, strict=True)]


def della(d, density, epsilon, words):
    """MagPrune: probabilities linear in the rank of the magnitude in its row."""
    result = []
    for x, u in zip(d, words, strict=True):
        x = np.asarray(x, np.float64)
        rows = x.reshape(-1, x.shape[-1])
        probability = np.empty(rows.shape)
        for r, row in enumerate(rows):
            for rank, place in enumerate(np.argsort(np.abs(row), kind="stable")):
                probability[r, place] = density - epsilon + 2 * epsilon * rank / (row.size - 1)
        kept = probability.reshape(-1)
        result.append(np.where(uniform(u) < kept, x.reshape(-1) / kept, 0))
    return result


def slerp(u, v, t):
    theta = np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    return np.sin((1 - t) * theta) / np.sin(theta) * u + np.sin(t * theta) / np.sin(theta) * v


def model_stock(d, w):
    d, n = flat(d), len(d)
    pairs = list(itertools.combinations(range(n), 2))
    cosines = [d[i] @ d[j] / np.linalg.norm(d[i]) / np.linalg.norm(d[j]) for i, j in pairs]
    cosine = np.average(cosines, weights=[w[i] * w[j] for i, j in pairs])
    return n * cosine / (1 + (n - 1) * cosine) * mean(d, w)


def consensus(d, w, strictness, tasks):
    m = mean(d, w)
    masks = [np.abs(x) >= strictness * np.abs(m - x) for x in flat(d)]
    return np.where(sum(mask.astype(int) for mask in masks) >= tasks, m, 0)


def pcb(d, w, density):
    def normal(x):
        return (x - x.min()) / (x.max() - x.min())

    def softmax(x):
        return np.exp(x) / np.exp(x).sum()

    d, n = flat(d), len(d)
    total, mass = np.zeros(d[0].size), np.zeros(d[0].size)
    for x, s in zip(d, of_sum_one(w), strict=True):
        beta = softmax(n * normal(x * x)) * sum(softmax(normal(x * y)) for y in d)
        beta = np.where(beta >= np.sort(beta)[::-1][max(1, int(density * x.size)) - 1], beta, 0)
        total, mass = total + s * beta * x, mass + s * beta
    return np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
