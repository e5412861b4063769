"""Requests against what is free. A request of zero fits even on an overfull node, as in Kubernetes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def fits_mask(free: Ints, request: Ints) -> npt.NDArray[np.bool_]:
    """Rows of `free` that hold the request."""
    wanted = np.flatnonzero(request)
    if wanted.size == free.shape[1]:
        return np.asarray((free >= request).all(axis=1))
    return np.asarray((free[:, wanted] >= request[wanted]).all(axis=1))


def fit_counts(free: Ints, request: Ints, most: int) -> Ints:
    """How many copies of the request each row of `free` holds, at most `most`."""
    counts = np.full(free.shape[0], most, dtype=np.int64)
    for resource in np.flatnonzero(request):
        np.minimum(counts, free[:, resource] // request[resource], out=counts)
    return np.maximum(counts, 0)
