"""The work queue: merges, never doubles, backs off."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.handlers.queue import LONGEST_DELAY_SECONDS, WorkQueue, backoff
from yunchi_operator.handlers.store import Key

A, B = Key("Department", "", "a"), Key("Department", "", "b")


async def test_duplicates_merge_and_order_stays() -> None:
    queue = WorkQueue()
    for key in (A, B, A, A):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == [A, B]


async def test_a_key_under_work_is_not_given_out_twice_but_comes_again() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(A)
    assert await waiting == A


async def test_of_several_times_the_earliest_counts() -> None:
    queue = WorkQueue()
    queue.add_after(A, 3600)
    queue.add_after(A, 0)
    queue.add_after(A, 1800)
    assert await queue.get() == A


async def test_closing_drops_what_waits_and_waits_for_what_runs() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B)
    assert await queue.get() == A
    queue.close()
    queue.add(B)
    queue.add_after(B, 0)
    assert len(queue) == 0
    drained = asyncio.ensure_future(queue.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    queue.done(A)
    await drained


async def test_failures_in_a_row_wait_longer_until_one_success() -> None:
    queue = WorkQueue(uniform=lambda low, high: high)
    assert [queue.retry(A), queue.retry(A), queue.retry(B)] == [0.5, 1.0, 0.5]
    queue.forget(A)
    assert queue.retry(A) == 0.5
    queue.close()


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_is_capped_and_never_nothing(failures: int, chance: float) -> None:
    delay = backoff(failures, lambda low, high: low + chance * (high - low))
    assert 0.25 <= delay <= LONGEST_DELAY_SECONDS
