"""The hint brings entries along, and is believed only as far as hashes prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.errors import CorruptError
from deltastore.history.entries import log_key
from deltastore.history.hints import (
    HINT_KEY,
    MAX_HINT_BYTES,
    decode_hint,
    encode_hint,
    proven,
)
from deltastore.history.log import Log
from deltastore.storage.local import LocalBackend
from deltastore.storage.memory import MemoryBackend
from tests.unit.history.stores import committing, fresh_url, started

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.history.entries import Entry


OPENING = 4
"""FORMAT, entry 0, the hint, the tip; that nothing is behind it is a request not counted here."""


def grown(count: int, url: str | None = None) -> tuple[Log, str]:
    """A store with `count` entries after the first one."""
    url = url or fresh_url()
    log = started(MemoryBackend(url))
    for number in range(count):
        log.append(committing(number))
    return log, url


def entries_of(log: Log) -> list[Entry]:
    return list(log.reader.stretch(0, log.state.v))


def stored_hint(url: str) -> bytes:
    return MemoryBackend(url).get(HINT_KEY, max_bytes=MAX_HINT_BYTES)


def cost_of_opening(url: str) -> int:
    backend = MemoryBackend(url)
    before = backend.traffic.requests or 0
    Log.open(backend).refresh()
    return (backend.traffic.requests or 0) - before


@pytest.mark.parametrize("count", [1, 2, 10, 40, 62])
def test_opening_costs_the_same_however_many_entries_there_are(count: int) -> None:
    log, url = grown(count)
    assert cost_of_opening(url) == OPENING
    assert Log.open(MemoryBackend(url)).refresh() == log.state


def test_after_a_checkpoint_it_costs_little_more() -> None:
    log, url = grown(150)
    assert log.state.ckpt is not None
    assert cost_of_opening(url) <= OPENING + 2 * 3
    assert Log.open(MemoryBackend(url)).refresh() == log.state


def test_a_stale_hint_still_brings_what_it_has() -> None:
    log, url = grown(20)
    hint = stored_hint(url)
    log.append(committing("a"))
    log.append(committing("b"))
    MemoryBackend(url).overwrite(HINT_KEY, hint)
    assert cost_of_opening(url) <= OPENING + 7 + 2
    assert Log.open(MemoryBackend(url)).refresh() == log.state


def test_writers_that_only_follow_bring_all_along() -> None:
    first, url = grown(10)
    second = Log.open(MemoryBackend(url))
    second.append(committing("second"))
    assert cost_of_opening(url) == OPENING
    assert decode_hint(stored_hint(url))[1].keys() == set(range(11))
    assert first.refresh().v == 11


def test_a_store_on_disk_has_a_short_hint(tmp_path: Path) -> None:
    log = started(LocalBackend(tmp_path / "store"))
    log.append(committing(1))
    log.append(committing(2))
    assert (tmp_path / "store" / HINT_KEY).read_bytes().strip() == b'{"v":2}'


def test_a_hint_is_bounded_and_keeps_the_newest() -> None:
    log, _ = grown(5)
    entries = entries_of(log)
    whole = encode_hint(5, entries)
    v, copies = decode_hint(whole)
    assert (v, sorted(copies)) == (5, [0, 1, 2, 3, 4])
    assert len(whole) < MAX_HINT_BYTES
    assert [copies[entry.v] for entry in entries[:-1]] == [entry.data for entry in entries[:-1]]
    without = encode_hint(5, [entry for entry in entries if entry.v != 2])
    assert sorted(decode_hint(without)[1]) == [3, 4]
    assert decode_hint(encode_hint(5)) == (5, {})


def test_what_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = grown(5)
    entries = entries_of(log)
    room = len(entries[4].data) + len(entries[3].data) + 20
    monkeypatch.setattr("deltastore.history.hints.MAX_HINT_BYTES", room)
    hint = encode_hint(5, entries)
    assert len(hint) <= room
    assert sorted(decode_hint(hint)[1]) == [3, 4]


@given(st.data())
def test_a_garbled_hint_proves_nothing_wrong(data: st.DataObject) -> None:
    hint = bytearray(GARBLED_HINT)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(hint) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop"]))
        if kind == "flip":
            hint[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del hint[max(1, at) :]
        else:
            del hint[at : at + 5]
        hint = hint or bytearray(b"{")
    try:
        _, copies = decode_hint(bytes(hint))
    except CorruptError:
        return
    known = proven(6, GARBLED_ENTRIES[6], copies)
    assert all(GARBLED_ENTRIES[v] == entry for v, entry in known.items())
    backend = MemoryBackend(GARBLED_URL)
    backend.overwrite(HINT_KEY, bytes(hint))
    assert Log.open(backend).refresh() == GARBLED_STATE


def garbled() -> tuple[bytes, dict[int, bytes], str, object]:
    log, url = grown(6)
    entries = {entry.v: entry.data for entry in entries_of(log)}
    return stored_hint(url), entries, url, log.state


GARBLED_HINT, GARBLED_ENTRIES, GARBLED_URL, GARBLED_STATE = garbled()


def test_copies_of_another_history_are_not_taken() -> None:
    """Another store's hint, with its own valid chain, of the same length."""
    log, url = grown(8)
    _, other = grown(8)
    MemoryBackend(url).overwrite(HINT_KEY, stored_hint(other))
    assert Log.open(MemoryBackend(url)).refresh() == log.state


def test_a_body_that_was_changed_is_read_from_the_log() -> None:
    log, url = grown(4)
    v, copies = decode_hint(stored_hint(url))
    head, _, trailer, _ = copies[2].split(b"\n")
    copies[2] = b"\n".join([head, b"null", trailer, b""])
    forged = b'{"v":4}\n' + b"".join(copies[position] for position in sorted(copies))
    MemoryBackend(url).overwrite(HINT_KEY, forged)
    assert sorted(proven(v, entries_of(log)[4].data, copies)) == [3, 4]
    assert Log.open(MemoryBackend(url)).refresh() == log.state


def test_a_replay_reads_the_log_itself() -> None:
    _, url = grown(6)
    backend = MemoryBackend(url)
    backend.delete_many([log_key(3)])
    fresh = Log.open(backend)
    assert fresh.refresh().v == 6
    with pytest.raises(CorruptError, match="missing"):
        fresh.replay()


def test_a_store_without_any_hint_is_read() -> None:
    log, url = grown(6)
    backend = MemoryBackend(url)
    backend.delete_many([HINT_KEY])
    assert Log.open(backend).refresh() == log.state
