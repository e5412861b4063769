"""Python's garbage collector, kept from looking in vain at hundreds of thousands of objects that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_to_collect() -> Iterator[None]:
    """While much is built and nothing thrown away; what is there afterwards is left alone from then on."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
