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
