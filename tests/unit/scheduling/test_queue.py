"""The queue of pending pods: windows, backoff, wake-ups, turns. Time is a number passed in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.scheduling.queue import PendingQueue, Settings, State

SETTINGS = Settings()


def queue_with(*keys: str, now: float = 0.0) -> PendingQueue:
    queue = PendingQueue(SETTINGS)
    for key in keys:
        queue.add(key, now=now)
    return queue


def test_a_lone_pod_waits_milliseconds() -> None:
    queue = queue_with("a/one", now=0.0)
    assert queue.seconds_until_due(0.0) == SETTINGS.quiet
    assert queue.seconds_until_due(SETTINGS.quiet) == 0.0
    assert queue.take(0.01).keys == ("a/one",)
    assert queue.seconds_until_due(0.01) is None


def test_a_storm_is_taken_jointly_once_it_calms() -> None:
    queue = PendingQueue(SETTINGS)
    for number in range(400):
        queue.add(f"a/{number}", now=number * 0.001)
    assert queue.seconds_until_due(0.4) is not None
    assert queue.seconds_until_due(0.4) > 0.2  # type: ignore[operator]
    assert queue.seconds_until_due(0.399 + SETTINGS.quiet_max) == 0.0
    assert len(queue.take(0.7).keys) == 400


def test_no_pod_waits_longer_than_the_window_in_a_storm_without_end() -> None:
    queue = PendingQueue(SETTINGS)
    now = 0.0
    while queue.seconds_until_due(now) != 0.0:
        queue.add(f"a/{now}", now=now)
        now += 0.01
    assert now <= SETTINGS.window_max + 0.02


def test_a_storm_with_gaps_is_not_cut_up_at_each_of_them() -> None:
    """Fifty pods a second in bursts, as a slow API server lets them through."""
    queue, batches = PendingQueue(SETTINGS), []
    for tick in range(3000):
        now = tick * 0.001
        if tick % 100 < 5:
            queue.add(f"a/{tick}", now=now)
        if queue.seconds_until_due(now) == 0.0:
            batches.append(len(queue.take(now).keys))
    assert len(batches) <= 14
    assert max(batches) >= 45


def test_after_a_storm_a_lone_pod_is_quick_again() -> None:
    queue = PendingQueue(SETTINGS)
    for number in range(1000):
        queue.add(f"a/{number}", now=number * 0.001)
    queue.take(2.0)
    queue.add("a/lone", now=12.0)
    wait = queue.seconds_until_due(12.0)
    assert wait is not None
    assert wait < 0.01


def test_infeasible_pods_sleep_until_something_helps() -> None:
    queue = queue_with("a/one")
    queue.take(0.01)
    queue.unschedulable("a/one", now=0.02)
    assert queue.counts()[State.UNSCHEDULABLE] == 1
    assert queue.seconds_until_due(5.0) == 0.02 + SETTINGS.flush - 5.0
    assert queue.wake(["a/other"], 5.0) == 0
    assert queue.wake(["a/one"], 5.0) == 1
    assert queue.counts()[State.ACTIVE] == 1
    assert queue.take(6.0).keys == ("a/one",)


def test_a_wake_up_during_the_backoff_waits_for_its_end() -> None:
    queue = queue_with("a/one")
    queue.take(0.0)
    queue.unschedulable("a/one", now=0.0)
    queue.wake(["a/one"], 0.5)
    assert queue.counts()[State.BACKOFF] == 1
    assert queue.seconds_until_due(0.5) == SETTINGS.backoff - 0.5
    assert queue.take(0.9).keys == ()
    assert queue.take(SETTINGS.backoff).keys == ("a/one",)


def test_a_wake_up_while_the_solver_works_is_not_lost() -> None:
    queue = queue_with("a/one")
    queue.take(0.0)
    assert queue.wake(["a/one"], 0.1) == 0  # nobody sleeps yet
    queue.unschedulable("a/one", now=0.2, helped=True)
    assert queue.counts()[State.BACKOFF] == 1
    assert queue.take(0.2 + SETTINGS.backoff).keys == ("a/one",)


def test_backoff_doubles_to_its_limit() -> None:
    queue = queue_with("a/one")
    now, waits = 0.0, []
    for _ in range(8):
        batch = queue.take(now)
        assert batch.keys == ("a/one",)
        queue.unschedulable("a/one", now, helped=True)
        wait = queue.seconds_until_due(now)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_sleeper_is_tried_again_in_the_end_even_if_nothing_happens() -> None:
    queue = queue_with("a/one")
    queue.take(0.0)
    queue.unschedulable("a/one", now=0.0)
    assert queue.take(SETTINGS.flush - 1).keys == ()
    assert queue.take(SETTINGS.flush).keys == ("a/one",)


def test_a_lost_race_is_retried_at_once_and_a_failing_server_with_backoff() -> None:
    queue = queue_with("a/raced", "a/failed")
    queue.take(0.0)
    queue.retry("a/raced", 0.0)
    queue.retry("a/failed", 0.0, delay=True)
    assert queue.take(0.5).keys == ("a/raced",)
    assert queue.take(SETTINGS.backoff).keys == ("a/failed",)


def test_a_pod_removed_in_flight_stays_removed() -> None:
    queue = queue_with("a/one", "a/two", "a/three")
    batch = queue.take(0.0)
    for key in batch.keys:
        queue.remove(key)
    queue.unschedulable("a/one", 0.1)
    queue.retry("a/two", 0.1)
    queue.retry("a/three", 0.1, delay=True)
    assert sum(queue.counts().values()) == 0
    assert queue.seconds_until_due(1000.0) is None


def test_news_of_a_pod_in_flight_do_not_put_it_in_a_second_batch() -> None:
    queue = queue_with("a/one")
    queue.take(0.0)
    queue.add("a/one", now=0.1, priority=5)
    assert queue.take(1.0).keys == ()


def test_whoever_belongs_to_a_batch_joins_it_wherever_it_waits() -> None:
    queue = queue_with("a/asleep", "a/backing-off", "a/flying", now=0.0)
    queue.take(0.0)
    queue.unschedulable("a/asleep", now=0.0)
    queue.retry("a/backing-off", 0.0, delay=True)
    queue.add("a/active", now=0.1)
    everyone = ["a/active", "a/flying", "a/backing-off", "a/asleep"]
    assert queue.enlist(everyone) == ["a/asleep", "a/backing-off", "a/active"]
    assert queue.take(1000.0).keys == ()
    queue.retry("a/asleep", 1000.0)
    assert queue.take(1001.0).keys == ("a/asleep",)


def test_gated_pods_wait_for_their_gates_only() -> None:
    queue = PendingQueue(SETTINGS)
    queue.add("a/gated", now=0.0, gated=True)
    queue.wake(["a/gated"], 1.0)
    assert queue.enlist(["a/gated", "a/unknown"]) == []
    assert queue.take(400.0).keys == ()
    assert queue.counts()[State.GATED] == 1
    queue.add("a/gated", now=500.0)
    assert queue.take(500.0).keys == ("a/gated",)


def test_departments_take_turns_within_a_priority() -> None:
    queue = PendingQueue(SETTINGS)
    for number in range(4):
        queue.add(f"big/{number}", now=0.0, department="big")
    queue.add("small/0", now=0.0, department="small")
    queue.add("small/1", now=0.0, department="small")
    queue.add("small/urgent", now=0.0, department="small", priority=10)
    assert queue.take(1.0).keys == (
        "small/urgent",
        "big/0",
        "small/0",
        "big/1",
        "small/1",
        "big/2",
        "big/3",
    )


def test_a_batch_has_a_largest_size_and_the_rest_follows() -> None:
    queue = PendingQueue(Settings(batch_max=3))
    for number in range(5):
        queue.add(f"a/{number}", now=0.0, priority=number)
    assert queue.seconds_until_due(0.0) == 0.0
    assert queue.take(0.0).keys == ("a/4", "a/3", "a/2")
    assert queue.take(1.0).keys == ("a/1", "a/0")


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "gate", "remove", "take", "unschedulable", "retry", "delay", "wake", "enlist"]),
        st.integers(0, 4),
        st.floats(0, 40),
    ),
    max_size=60,
)


@given(steps)
def test_every_pod_is_in_exactly_one_place_and_none_is_forgotten(moves: list[tuple[str, int, float]]) -> None:
    """Whatever happens in whatever order: each pod not removed and not gated comes out of the queue again."""
    queue, now, known, flying = PendingQueue(SETTINGS), 0.0, set[str](), dict[str, None]()
    for what, number, passed in moves:
        now += passed
        key = f"a/{number}"
        if what in {"add", "gate"}:
            if key not in known or what == "add":
                queue.add(key, now=now, gated=what == "gate")
            known.add(key)
        elif what == "remove":
            queue.remove(key)
            known.discard(key)
            flying.pop(key, None)
        elif what == "take":
            batch = queue.take(now)
            assert not set(batch.keys) & set(flying)
            flying |= dict.fromkeys(batch.keys)
        elif what == "wake":
            queue.wake([key], now)
        elif what == "enlist":
            flying |= dict.fromkeys(queue.enlist([key]))
        elif key in flying:
            del flying[key]
            if what == "unschedulable":
                queue.unschedulable(key, now, helped=number % 2 == 0)
            else:
                queue.retry(key, now, delay=what == "delay")
        assert sum(queue.counts().values()) == len(known)
    gated = queue.counts()[State.GATED]
    left = queue.take(now + SETTINGS.flush + SETTINGS.backoff_max)
    assert len(left.keys) + len(flying) + gated == len(known)
