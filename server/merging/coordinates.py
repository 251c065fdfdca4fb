"""Coordinates in which low-rank updates are small arrays, so that methods on elements can work on them.

The updates of a module, b_k a_k, lie in a common space of small dimension: their columns in a left basis
U [out, p], their rows in a right basis V [in, q], both orthonormal, p and q at most R = sum r_k. Then
b_k a_k = U M_k V^T with M_k = U^T b_k a_k V [p, q], exactly, and a merged M gives the merged update U M V^T.
Linear methods give the same in any coordinates. Methods on elements don't: what is small, or opposite, is so
in a basis. Hence the choices:

* core    U and V from the updates themselves: the eigenvectors of sum_k dW_k dW_k^T and sum_k dW_k^T dW_k (a
          Tucker core, higher-order SVD). Scaling b by c and a by 1/c changes nothing. [p, q] numbers.
* knots   U only, M_k = U^T dW_k [p, in] (KnOTS, arXiv:2410.19735: with the SVD [dW_1 ... dW_N] = U S
          [V_1 ... V_N], M_k = S V_k). The paper makes that SVD of the dense updates; here the QR of the stack
          serves.
* stacks  U from the SVD of [b_1 ... b_N], V from that of [a_1; ...; a_N] (Core Space, arXiv:2509.17786), of
          factors that were balanced first, as the paper's basis depends on how an update was split in two.
* dense   the updates themselves, as the papers of TIES, DARE and the like have them. [out, in] numbers.
* factors a_k and b_k each for itself, as PEFT's `add_weighted_adapter` has it. Needs equal ranks; the result
          depends on how updates were split, and is no merge of updates. For comparison.

Costs O((out + in) R^2 + R^3) a module, but for dense and factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renga.server.merging.lowrank import Product, svd_of_product
from renga.server.merging.parts import Module

F64 = NDArray[np.float64]

# Directions that hold less than this share of the energy are rounding.
_EMPTY = 1e-15


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Of one module: the arrays of all inputs, [inputs, ...], and the way back."""

    stack: F64
    left: F64 | None  # [out, p]; None: the standard basis
    right: F64 | None  # [q, in]

    def product(self, merged: F64) -> Product:
        """The update whose coordinates are `merged`."""
        if self.left is None:
            out, into = merged.shape
            eye = np.eye(min(out, into))
            return Product(merged, eye) if into <= out else Product(eye, merged)
        if self.right is None:
            return Product(self.left, merged)
        return Product(self.left, self.right, merged, thin=True)


def core(module: Module) -> Coordinates:
    """Both bases from the updates."""
    left, rb = _reduced(module.b)
    right, ra = _reduced([a.T for a in module.a])
    u = _leading(
        sum((b @ (a.T @ a) @ b.T for b, a in zip(rb, ra, strict=True)), np.zeros((len(left.T),) * 2))
    )
    v = _leading(
        sum((a @ (b.T @ b) @ a.T for b, a in zip(rb, ra, strict=True)), np.zeros((len(right.T),) * 2))
    )
    stack = np.stack([(u.T @ b) @ (a.T @ v) for b, a in zip(rb, ra, strict=True)])
    return Coordinates(stack, left @ u, (right @ v).T)


def knots(module: Module) -> Coordinates:
    """The left basis from the updates, the rows as they are."""
    left, rb = _reduced(module.b)
    grams = [a @ a.T for a in module.a]
    u = _leading(sum((b @ g @ b.T for b, g in zip(rb, grams, strict=True)), np.zeros((len(left.T),) * 2)))
    stack = np.stack([(u.T @ b) @ a for b, a in zip(rb, module.a, strict=True)])
    return Coordinates(stack, left @ u, None)


def stacks(module: Module) -> Coordinates:
    """Bases of the stacked factors."""
    b, a = [], []
    for k in range(len(module.b)):
        u, s, vt = svd_of_product(module.b[k], module.a[k])
        kept = s > 1e-12 * s.max(initial=0.0)
        root = np.sqrt(s[kept])
        b.append(u[:, kept] * root)
        a.append(root[:, None] * vt[kept])
    left, rb = _reduced(b)
    right, ra = _reduced([x.T for x in a])
    u = _leading(sum((x @ x.T for x in rb), np.zeros((len(left.T),) * 2)))
    v = _leading(sum((x @ x.T for x in ra), np.zeros((len(right.T),) * 2)))
    stack = np.stack([(u.T @ x) @ (y.T @ v) for x, y in zip(rb, ra, strict=True)])
    return Coordinates(stack, left @ u, (right @ v).T)


def dense(module: Module) -> Coordinates:
    """The updates as they are."""
    return Coordinates(np.stack([module.dense(k) for k in range(len(module.b))]), None, None)


# How each is had of a module. `factors` is not one of them: it has two arrays to a module.
SPACES: Mapping[str, Callable[[Module], Coordinates]] = {
    "core": core,
    "knots": knots,
    "stacks": stacks,
    "dense": dense,
}


def _reduced(columns: list[F64] | tuple[F64, ...]) -> tuple[F64, list[F64]]:
    """An orthonormal basis of all columns [m, p], and each part's columns in it."""
    together = np.concatenate(columns, axis=1)
    starts = np.cumsum([part.shape[1] for part in columns])[:-1]
    if together.shape[1] >= together.shape[0]:
        return np.eye(together.shape[0]), list(columns)
    q, r = _orthonormal(together)
    return q, np.split(r, starts, axis=1)


def _orthonormal(x: F64) -> tuple[F64, F64]:
    """q r = x, q [m, p] orthonormal to rounding.

    By Cholesky's factors of Gram matrices, on columns of length one, and once more where that was not enough
    (CholeskyQR2; Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA 2015): products of matrices, which take a
    third of the time of Householder's QR where the stack is tall. Where columns are dependent, or nearly, the
    second Gram matrix shows it, and Householder's is taken.
    """
    m, p = x.shape
    lengths = np.sqrt(np.einsum("ij,ij->j", x, x))
    if m < 2 * p or not lengths.all():
        return np.linalg.qr(x)
    q, r, gram = x / lengths, np.diag(lengths), None
    for _ in range(2):
        gram = q.T @ q if gram is None else gram
        try:
            factor = np.linalg.cholesky(gram).T
        except np.linalg.LinAlgError:
            break
        q, r = q @ np.linalg.inv(factor), factor @ r
        gram = q.T @ q
        off = float(np.abs(gram - np.eye(p)).max())
        if off < 1e-13:
            return q, r
        if not off < 1e-4:
            break
    return np.linalg.qr(x)


def _leading(gram: F64) -> F64:
    """Eigenvectors of a Gram matrix, largest first, without the empty ones."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > _EMPTY * len(values) * values.max(initial=0.0)
    return vectors[:, kept][:, ::-1]
