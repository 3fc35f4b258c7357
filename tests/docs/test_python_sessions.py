"""The runner of Python sessions: it reads what people write, and it can fail."""

from __future__ import annotations

import pytest

from tests.docs.python_sessions import failures, python_blocks


def page(*lines: str) -> str:
    return "\n".join(["# A page", "", "```pycon", *lines, "```", ""])


@pytest.mark.parametrize(
    "lines",
    [
        (">>> 1 + 1", "2"),
        (">>> x = 5",),
        (">>> x = 5", ">>> x", "5"),
        (">>> for n in range(2):", "...     print(n)", "0", "1"),
        (">>> print('kept in 12.5 MB')", "kept in 7 kB"),
        (">>> '4c1f09ab23de'", "'a81c03f29d11'"),
        (">>> print('a', 7, 'b')", "a ... b"),
        (">>> 1 / 0", "Traceback (most recent call last):", "  ...", "ZeroDivisionError: ..."),
        (">>> import os; os.getcwd()", "'~'"),
    ],
)
def test_sessions_that_hold(lines: tuple[str, ...]) -> None:
    assert failures(page(*lines)) == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((">>> 1 + 1", "3"), "the page says\n3\n--- Python says\n2"),
        ((">>> 1 + 1",), "Python says\n2"),
        ((">>> x = 5", "5"), "the page says\n5"),
        ((">>> 1 / 0", "0"), "ZeroDivisionError: division by zero"),
        (
            (">>> {}['a']", "Traceback (most recent call last):", "  ...", "KeyError: 'b'"),
            "KeyError: 'a'",
        ),
    ],
)
def test_sessions_that_do_not_hold(lines: tuple[str, ...], reason: str) -> None:
    found = failures(page(*lines))
    assert len(found) == 1
    assert reason in found[0]
    assert found[0].startswith("line 4: >>> ")


def test_blocks_of_a_page_are_one_interpreter() -> None:
    assert failures(page(">>> x = 5") + page(">>> x", "5")) == []


def test_lines_are_counted_in_the_page() -> None:
    found = failures(page(">>> x = 5") + page(">>> y = 6", ">>> x", "7"))
    assert [text.partition(":")[0] for text in found] == ["line 10"]


def test_only_python_blocks_are_sessions() -> None:
    assert python_blocks("```python\n>>> 1\n2\n```\n") == []
    assert python_blocks(page(">>> 1", "2")) == [(4, ">>> 1\n2\n")]
