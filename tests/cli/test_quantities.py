from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore_cli.quantities import (
    abbreviated,
    counted,
    first_of,
    parse_size,
    percent,
    ratio_text,
    scientific,
    size_text,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (61_234, "61.2 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (2_140_000_000, "2.14 GB"),
        (16_060_000_000, "16.1 GB"),
        (10**18, "1,000 PB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


@given(st.integers(1, 10**17))
def test_sizes_are_right_to_three_digits(count: int) -> None:
    number, unit = size_text(count).split()
    power = ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert float(number.replace(",", "")) * 1000**power == pytest.approx(count, rel=6e-3)


@pytest.mark.parametrize(
    ("logical", "stored", "text"),
    [(0, 5, ""), (5, 0, ""), (150, 100, "1.50x"), (750, 100, "7.5x"), (263_000, 1, "263,000x")],
)
def test_ratios(logical: int, stored: int, text: str) -> None:
    assert ratio_text(logical, stored) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(None, "-"), (0, "0.0 %"), (1e-9, "< 0.1 %"), (0.427, "42.7 %"), (1, "100.0 %")],
)
def test_percentages(fraction: float | None, text: str) -> None:
    assert percent(fraction) == text


def test_almost_all_is_not_all() -> None:
    assert percent(0.99999) == "> 99.9 %"


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.0, "0"), (6.1e-3, "6.1e-03")])
def test_scientific(value: float | None, text: str) -> None:
    assert scientific(value) == text


@pytest.mark.parametrize(
    ("count", "noun", "text"), [(1, "file", "1 file"), (1412, "branch", "1,412 branches")]
)
def test_counts(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


def test_names() -> None:
    assert first_of([], 3) == ""
    assert first_of("abc", 3) == "a, b, c"
    assert first_of("abcde", 3) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("512 MiB", 512 << 20), ("1000", 1000), ("1.5k", 1500), ("2g", 2 * 10**9)],
)
def test_sizes_are_parsed(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "0", "5 apples", "1e9", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_size(text)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        (f"pack {'ab' * 32}, block 0", "pack abababababab, block 0"),
        (f"{'ab' * 32} and {'cd' * 32}", "abababababab and cdcdcdcdcdcd"),
        (f"packs/ab/{'ab' * 32}.safetensors: cut", f"packs/ab/{'ab' * 32}.safetensors: cut"),
        (f"{'ab' * 33} is none", f"{'ab' * 33} is none"),
        ("abababababab is short", "abababababab is short"),
    ],
)
def test_ids_in_sentences_have_twelve_digits_and_in_paths_all(sentence: str, shown: str) -> None:
    assert abbreviated(sentence) == shown
