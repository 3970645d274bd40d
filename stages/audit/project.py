"""Rows of a sparse matrix in groups: projected to where they differ most, and told apart by k-means on the sphere.

Kernels that add in one order, so neither a library of linear algebra nor its threads change a bit.

Source: Deerwester et al. 1990 (latent semantic analysis); Halko, Martinsson and Tropp 2011, algorithm 4.4 (how it is
found, from random signs here); Dhillon and Modha 2001 (k-means on the sphere); Arthur and Vassilvitskii 2007 (how it
begins).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

ROUNDS: Final = 30  # of k-means
POWERS: Final = 3  # rounds of the projection; two agreed less with sources, five no more

Numbers = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]
Table = npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def settle(features: Numbers, values: Weights, bounds: Places, near: Table, draws: Table, centres: Weights) -> None:
    """Sets the centres, float32[FEATURES, topics]; in one kernel, as each costs time to load.

    `near` is float64[documents, topics], any start. Subspace iteration turns it to the leading left singular vectors
    U of the matrix X of documents; with L L' = U' X X' U the rows of U L are as far apart as those of X are in there.
    """
    image = np.zeros((len(centres), near.shape[1]), np.float64)
    orthonormal(near)
    for _ in range(POWERS):
        near = through(features, values, bounds, near, image)
        orthonormal(near)
    root = root_of(product(near, through(features, values, bounds, near, image)))
    places = np.zeros_like(near)
    for document in range(len(near)):
        for row in range(len(root)):
            for column in range(row + 1):
                places[document, column] += near[document, row] * root[row, column]
        _to_unit(places, document)
    found = grouped(places, draws)
    for document in range(len(near)):
        for at in range(bounds[document], bounds[document + 1]):
            centres[features[at], found[document]] += values[at]


@njit(cache=True, nogil=True)
def through(features: Numbers, values: Weights, bounds: Places, near: Table, image: Table) -> Table:
    """Returns X X' near, float64[documents, columns]; `image` is room for X' near."""
    image[:] = 0
    made = np.zeros_like(near)
    for document in range(len(near)):
        for at in range(bounds[document], bounds[document + 1]):
            value, feature = np.float64(values[at]), features[at]
            for column in range(near.shape[1]):
                image[feature, column] += value * near[document, column]
    for document in range(len(near)):
        for at in range(bounds[document], bounds[document + 1]):
            value, feature = np.float64(values[at]), features[at]
            for column in range(near.shape[1]):
                made[document, column] += value * image[feature, column]
    return made


@njit(cache=True, nogil=True)
def product(one: Table, other: Table) -> Table:
    """Returns one' other, float64[columns, columns]."""
    made = np.zeros((one.shape[1], other.shape[1]), np.float64)
    for document in range(len(one)):
        for row in range(one.shape[1]):
            value = one[document, row]
            for column in range(other.shape[1]):
                made[row, column] += value * other[document, column]
    return made


@njit(cache=True, nogil=True)
def root_of(square: Table) -> Table:
    """Returns the lower triangle L of L L' = square (Cholesky); what is not positive is next to nothing."""
    size = len(square)
    made = np.zeros((size, size), np.float64)
    whole = 0.0
    for row in range(size):
        whole += square[row, row]
    for column in range(size):
        for row in range(column, size):
            value = square[row, column]
            for before in range(column):
                value -= made[row, before] * made[column, before]
            if row == column:
                made[row, row] = np.sqrt(max(value, 1e-12 * whole + 1e-300))
            else:
                made[row, column] = value / made[column, column]
    return made


@njit(cache=True, nogil=True)
def orthonormal(near: Table) -> None:
    """Makes the columns orthonormal: by L of near' near, each row is solved for."""
    root = root_of(product(near, near))
    for document in range(len(near)):
        for column in range(len(root)):
            value = near[document, column]
            for before in range(column):
                value -= near[document, before] * root[column, before]
            near[document, column] = value / root[column, column]


@njit(cache=True, nogil=True)
def _to_unit(rows: Table, number: int) -> bool:
    """Gives a row the length 1; returns whether it has one."""
    square = 0.0
    for column in range(rows.shape[1]):
        square += rows[number, column] ** 2
    length = np.sqrt(square)
    if length > 0:
        for column in range(rows.shape[1]):
            rows[number, column] /= length
    return bool(length > 0)


@njit(cache=True, nogil=True)
def grouped(places: Table, draws: Table) -> Numbers:
    """Returns the group of each row, int32[documents], by k-means on the sphere: as many groups as there are draws.

    The next centre to begin with is a row, the likelier the further it is from those before it; of centres at one
    distance a row is of the first; a group that loses its rows stays where it is.
    """
    width, groups = places.shape[1], len(draws)
    centres = np.zeros((width, groups), np.float64)
    away = np.ones(len(places), np.float64)
    for group in range(groups):
        whole, so_far, chosen = 0.0, 0.0, 0
        for document in range(len(places)):
            whole += away[document]
        for document in range(len(places)):
            so_far += away[document]
            chosen = document
            if so_far > draws[group] * whole:
                break
        for column in range(width):
            centres[column, group] = places[chosen, column]
        for document in range(len(places)):
            closeness = 0.0
            for column in range(width):
                closeness += places[document, column] * places[chosen, column]
            away[document] = min(away[document], max(0.0, 1.0 - closeness))
    found = np.full(len(places), -1, np.int32)
    near = np.empty(groups, np.float64)
    for _ in range(ROUNDS):
        changed = False
        sums = np.zeros((groups, width), np.float64)
        for document in range(len(places)):
            near[:] = 0
            for column in range(width):
                value = places[document, column]
                for group in range(groups):
                    near[group] += value * centres[column, group]
            best = 0
            for group in range(groups):
                best = group if near[group] > near[best] else best
            changed |= best != found[document]
            found[document] = best
            for column in range(width):
                sums[best, column] += places[document, column]
        if not changed:
            break
        for group in range(groups):
            if _to_unit(sums, group):
                for column in range(width):
                    centres[column, group] = sums[group, column]
    return found
