"""The promises of distance, on a small model: a share of the proof in benchmarks/distant.py."""

from __future__ import annotations

import pytest

from benchmarks import distant

pytestmark = pytest.mark.s3


def test_distance_costs_what_was_promised() -> None:
    with distant.distance(mib=2, moves=12, delay=0.0) as (far, stored):
        steps = distant.measured(far, stored)
    assert [step.title for step in steps if step.missed] == [], distant.table(steps)
    show, first, second, again, _ = steps
    assert show.requests <= 8
    assert second.fetched is not None
    assert first.fetched is not None
    assert second.fetched < first.fetched // 2
    assert again.fetched is not None
    assert again.fetched < 64 << 10


def test_a_step_that_takes_too_much_is_missed() -> None:
    within = distant.Step("x", 10, 12, 100, 105, 1.0)
    assert not within.missed
    assert distant.Step("x", 13, 12, 100, 105, 1.0).missed
    assert distant.Step("x", 10, 12, 106, 105, 1.0).missed
    assert distant.Step("x", 10, 12, 100, 105, 1.0, "exit 6").missed
