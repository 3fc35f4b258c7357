"""Large pieces ahead of need: every byte as without, in few requests, within bounds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.errors import MissingObjectError
from deltastore.ids import Digest
from deltastore.storage import ahead
from deltastore.storage.ahead import ReadAhead, Window, plan_windows
from deltastore.storage.keys import pack_key
from deltastore.storage.packs import PackReader
from deltastore.storage.records import Kind, PackId, Placement, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20
PACKS = tuple(PackId(digit * 64) for digit in "ab")
KEYS = tuple(map(pack_key, PACKS))
BODY = bytes(n % 251 for n in range(1 << 16)) * 16 * 40


def section(pack: int, offset: int, length: int) -> Placement:
    record = Record(
        Kind.BLOB, Digest("0" * 64), "", (), "blob/1", b"", (), length, 1, 0, 1, offset, length,
        Digest("0" * 64),
    )  # fmt: skip
    return Placement(PACKS[pack], 4096, record)


class Source:
    """Forty MiB in every object; remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Window] = []

    def get_prefix(self, key: str, length: int) -> bytes:
        return self.get_range(key, 0, length)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        if key not in KEYS:
            raise MissingObjectError(f"{key} is not there")
        self.asked.append(Window(key, start, start + length))
        return BODY[start : start + length]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.get_range(key, *each) for each in ranges]


sections = st.lists(
    st.builds(section, st.integers(0, 1), st.integers(0, 39 * MIB), st.integers(0, MIB - 4096)),
    max_size=12,
)


@given(sections)
def test_windows_cover_all_sections_and_do_not_overlap(placements: list[Placement]) -> None:
    windows = plan_windows(placements)
    assert all(0 < window.size <= 16 * MIB for window in windows)
    for key in KEYS:
        ordered = sorted((w for w in windows if w.key == key), key=lambda w: w.start)
        assert all(a.stop <= b.start for a, b in itertools.pairwise(ordered))
    for placement in placements:
        start = placement.data_start + placement.record.offset
        covered = sum(
            max(0, min(w.stop, start + placement.record.length) - max(w.start, start))
            for w in windows
            if w.key == pack_key(placement.pack)
        )
        assert covered == placement.record.length


@given(sections, st.data())
def test_what_is_read_ahead_is_what_is_there(
    placements: list[Placement], data: st.DataObject
) -> None:
    source = Source()
    with ReadAhead(source, plan_windows(placements)) as near:
        for placement in data.draw(st.permutations(placements)):
            start, length = placement.data_start + placement.record.offset, placement.record.length
            key = pack_key(placement.pack)
            assert near.get_range(key, start, length) == BODY[start : start + length]
        assert near.get_range(KEYS[0], 17, 4000) == BODY[17:4017]
        assert near.get_prefix(KEYS[1], 50) == BODY[:50]
        assert near.get_ranges(KEYS[0], [(5, 9), (1, 3)]) == [BODY[5:14], BODY[1:4]]


def test_neighbors_come_in_one_request_and_in_order_of_need() -> None:
    small = [section(0, 64 * n, 60) for n in range(1000)]
    far = section(0, 20 * MIB, 100)
    other = section(1, 0, 30 * MIB)
    windows = plan_windows([other, far, *small])
    assert [(w.key, w.start) for w in windows] == [
        (KEYS[1], 4096),
        (KEYS[1], 16 * MIB),
        (KEYS[0], 4096 + 20 * MIB),
        (KEYS[0], 4096),
    ]


def test_two_versions_that_need_nearly_the_same_ask_for_the_same_pieces() -> None:
    base = [section(0, n * MIB, MIB - 64) for n in range(39)]
    some = plan_windows(base)
    more = plan_windows([*base[:20], *base[21:], section(1, 0, 500)])
    assert len(set(some) & set(more)) == 2


def test_each_window_is_fetched_once_and_ahead() -> None:
    placements = [section(0, n * MIB, MIB - 64) for n in range(39)]
    source = Source()
    with ReadAhead(source, plan_windows(placements)) as near:
        near.get_range(KEYS[0], 4096, 100)
        near._threads.shutdown(wait=True)
        assert len(source.asked) == 3
        for placement in placements:
            near.get_range(KEYS[0], placement.data_start + placement.record.offset, MIB - 64)
    assert len(source.asked) == 3


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "SPAN_BYTES", MIB)
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 3 * MIB)
    monkeypatch.setattr(ahead, "HELD_BYTES", 2 * MIB)
    placements = [section(0, n * MIB, MIB - 64) for n in range(39)]
    source = Source()
    with ReadAhead(source, plan_windows(placements)) as near:
        for placement in placements:
            start = placement.data_start + placement.record.offset
            assert near.get_range(KEYS[0], start, MIB - 64) == BODY[start : start + MIB - 64]
            assert sum(window.size for window in near._held) <= 2 * MIB
            assert sum(window.size for window in near._asked) <= 4 * MIB
    assert len(source.asked) == len(set(source.asked)) == 40


def test_a_dropped_window_is_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "HELD_BYTES", 1)
    placements = [section(n % 2, 0, 100) for n in range(6)]
    source = Source()
    with ReadAhead(source, plan_windows(placements)) as near:
        for placement in placements:
            assert near.get_range(pack_key(placement.pack), 4096, 100) == BODY[4096:4196]
    assert len(source.asked) == 6


def test_failures_come_where_the_bytes_are_needed() -> None:
    with ReadAhead(Source(), [Window("packs/cc/gone", 0, 10), Window(KEYS[0], 0, 10)]) as near:
        assert near.get_range(KEYS[0], 0, 10) == BODY[:10]
        with pytest.raises(MissingObjectError, match="gone"):
            near.get_range("packs/cc/gone", 2, 3)


def test_a_store_at_hand_is_not_read_ahead() -> None:
    source = Source()
    reader = PackReader(source)
    with reader.ahead([section(0, 0, 100)]) as same:
        assert same is reader
    with PackReader(source, distant=True).ahead([section(0, 0, 100)]) as other:
        assert other is not reader
        with other.ahead([section(1, 0, 100)]) as nested:
            assert nested is other
    assert source.asked == []
