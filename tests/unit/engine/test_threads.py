from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from deltastore.engine.threads import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    def slow_square(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    with Workers(threads) as workers:
        assert list(workers.map(slow_square, range(40))) == [n * n for n in range(40)]


def test_the_threads_do_not_run_far_ahead_of_the_consumer() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield number

    with Workers(2) as workers:
        results = workers.map(lambda number: number, items())
        next(results)
        assert drawn <= 2 * 2 + 1


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_and_the_rest_is_cancelled(threads: int) -> None:
    started = threading.Semaphore(0)

    def fail_at_three(number: int) -> int:
        started.release()
        if number == 3:
            msg = "three"
            raise ValueError(msg)
        return number

    with Workers(threads) as workers:
        results = workers.map(fail_at_three, range(1000))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)
    count = 0
    while started.acquire(blocking=False):
        count += 1
    assert count < 50


def test_closing_lets_work_under_way_finish() -> None:
    workers = Workers(2)
    results = workers.map(lambda number: number, range(50))
    assert next(results) == 0
    workers.close()
    assert list(results) == list(range(1, 50))
    assert list(workers.map(str, range(3))) == ["0", "1", "2"]
    workers.close()


def test_threads_end_once_nothing_uses_them() -> None:
    def ours() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread not in before}

    before = set(threading.enumerate())
    workers = Workers(2)
    results = workers.map(str, range(50))
    next(results)
    workers.close()
    assert ours()
    results.close()  # type: ignore[attr-defined] # a generator
    for thread in ours():
        thread.join(10)
    assert not ours()


def test_closing_from_other_threads_never_disturbs_a_map() -> None:
    workers, stop = Workers(3), threading.Event()

    def close() -> None:
        while not stop.is_set():
            workers.close()

    closer = threading.Thread(target=close)
    closer.start()
    try:
        for _ in range(100):
            assert list(workers.map(str, range(20))) == [str(number) for number in range(20)]
    finally:
        stop.set()
        closer.join()
