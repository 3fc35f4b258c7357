from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from deltastore.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptError,
    InvalidError,
    NewerFormatError,
    NotAStoreError,
    OutcomeUnknownError,
    UnreachableError,
    UnsafeBackendError,
)
from deltastore.history import log_reading, publishing
from deltastore.history.entries import Draft, Entry, RefMove, Transaction, log_key, new_token
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.hints import HINT_KEY
from deltastore.history.initialize import init_store
from deltastore.history.log import Log, Position
from deltastore.storage.backend import Capabilities
from deltastore.storage.memory import MemoryBackend
from tests.unit.history.samples import MAIN, TIME, body, commit, digest, entry_after, pack, txn_id
from tests.unit.history.stores import committing, fresh_backend, fresh_url, started

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.history.state import LogState


def stored(backend: MemoryBackend, v: int) -> Entry:
    return decode_entry(backend.get(log_key(v), max_bytes=1 << 20), v=v)


def refresh_anew(backend: MemoryBackend, known: Position | None = None) -> LogState:
    return Log.open(backend, known=known).refresh()


def test_an_empty_store() -> None:
    log = started()
    state = log.refresh()
    assert (state.v, state.refs) == (0, {})
    assert log.position == Position(state.store_id, 0, log.form.genesis)


def test_commits_follow_one_another() -> None:
    log = started()
    for number in range(5):
        entry = log.append(committing(number))
        assert entry.v == number + 1
    assert log.state.ref(MAIN) == commit(4)
    assert refresh_anew(fresh_copy(log)) == log.state == log.replay()


def fresh_copy(log: Log) -> MemoryBackend:
    return MemoryBackend(log.reader._backend.url)


def test_two_clients_see_each_other() -> None:
    first = started()
    second = Log.open(fresh_copy(first))
    first.append(committing(1))
    assert second.append(committing(2)).v == 2
    assert first.refresh() == second.state
    assert first.refresh() is first.state


def test_compose_is_called_again_with_the_freshest_state_after_a_lost_race() -> None:
    log = started()
    rival = Log.open(fresh_copy(log))
    seen: list[int] = []

    def compose(state: LogState) -> Draft:
        seen.append(state.v)
        if len(seen) < 3:
            rival.append(committing(f"rival {len(seen)}"))
        return committing("mine")(state)

    entry = log.append(compose)
    assert seen == [0, 1, 2]
    assert entry.v == 3
    assert log.state.ref(MAIN) == commit("mine")


def test_compose_may_give_up_and_nothing_is_written() -> None:
    log = started()

    def compose(state: LogState) -> Draft:
        raise ConflictError(f"moved at {state.v}")

    with pytest.raises(ConflictError, match="moved at 0"):
        log.append(compose)
    assert not list(fresh_copy(log).list("log/00000000000000000001"))
    assert log.refresh().v == 0


def test_a_writer_gives_up_after_its_budget_without_having_written() -> None:
    log = started()
    rival = Log.open(fresh_copy(log))
    calls: list[int] = []

    def compose(state: LogState) -> Draft:
        calls.append(state.v)
        rival.append(committing(f"rival {len(calls)}"))
        return committing("mine")(state)

    with pytest.raises(ConflictError, match="faster"):
        log.append(compose, budget_seconds=0.05)
    assert all(commit("mine") not in entry_commits(each) for each in rival.entries(1, len(calls)))


def entry_commits(entry: Entry) -> tuple[str, ...]:
    assert entry.body is not None
    return tuple(each for txn in entry.body.txns for each in txn.commits)


def test_what_compose_gets_wrong_is_refused_before_it_is_written() -> None:
    log = started()
    log.append(committing(1))
    txn = Transaction(txn_id("x"), "commit", "a", TIME, "", (RefMove(MAIN, None, commit(1)),))
    for draft, match in [
        (Draft((txn,)), "stood at"),
        (Draft((), add=(pack(2),)), "transactions"),
        (Draft((Transaction("short", "commit", "a", TIME, ""),)), "txn"),
        (Draft((Transaction(txn_id("x"), "commit", "a\u0308\u0308", TIME, ""),)), "NFC"),
        (
            Draft((Transaction(txn_id("x"), "commit", "a", TIME, "m" * 300_000),)),
            "without its lists",
        ),
    ]:
        with pytest.raises(InvalidError, match=match):
            log.append(partial(give, draft))
    assert refresh_anew(fresh_copy(log)).v == 1


def give(draft: Draft, _: LogState) -> Draft:
    return draft


def test_a_draft_whose_pack_was_condemned_is_a_conflict() -> None:
    log = started()
    txn = Transaction(new_token(), "gc", "a", TIME, "")
    log.append(lambda _: Draft((txn,), condemn=(pack("slow"),)))
    with pytest.raises(ConflictError, match="condemned"):
        log.append(committing("slow"))


@pytest.mark.parametrize("hint", [b"", b"{", b'{"v":-1}', b'{"v":9}', b'{"v":2}', b"x" * 2000])
def test_a_stale_torn_or_lying_hint_costs_nothing_but_requests(hint: bytes) -> None:
    log = started()
    for number in range(4):
        log.append(committing(number))
    backend = fresh_copy(log)
    backend.overwrite(HINT_KEY, hint or b" ")
    assert refresh_anew(backend) == log.state
    backend.delete_many([HINT_KEY])
    assert refresh_anew(backend) == log.state


@pytest.mark.parametrize(
    "count", [*range(9), 63, 64, 65, 66, 127, 128, 129, 130, 131, 200, 257, 300]
)
def test_the_tip_is_found_from_anywhere(count: int) -> None:
    backend = fresh_backend()
    log = started(backend)
    present = backend.get(log_key(0), max_bytes=1 << 20)
    for v in range(1, count + 1):
        backend.put_if_absent(log_key(v), present)
    for low in {0, count // 3, max(0, count - 1), count}:
        assert log.reader.find_tip(low) == count


class Counting(MemoryBackend):
    """Counts reads and writes, those of absent objects included."""

    calls = 0

    def get(self, key: str, *, max_bytes: int) -> bytes:
        self.calls += 1
        return super().get(key, max_bytes=max_bytes)

    def overwrite(self, key: str, data: bytes) -> None:
        self.calls += 1
        super().overwrite(key, data)

    def cost(self, act: Callable[[], object]) -> int:
        before = self.calls
        act()
        return self.calls - before


def test_galloping_takes_few_requests() -> None:
    backend = Counting(fresh_url())
    log = started(backend)
    present = backend.get(log_key(0), max_bytes=1 << 20)
    for v in range(1, 5001):
        backend.put_if_absent(log_key(v), present)
    assert backend.cost(lambda: log.reader.find_tip(0)) < 30
    assert log.reader.find_tip(0) == 5000


@pytest.mark.parametrize("hole", [1, 2, 3, 5, 8, 9])
def test_a_hole_is_damage(hole: int) -> None:
    log = started()
    for number in range(10):
        log.append(committing(number))
    backend = fresh_copy(log)
    backend.delete_many([log_key(hole)])
    assert refresh_anew(backend) == log.state  # the hint brings a proven copy
    backend.overwrite(HINT_KEY, b'{"v":10}')
    with pytest.raises(CorruptError, match=r"missing|is gone"):
        refresh_anew(backend)


def test_a_hole_that_a_probe_falls_into_is_found_without_a_hint() -> None:
    log = started()
    for number in range(12):
        log.append(committing(number))
    backend = fresh_copy(log)
    backend.delete_many([log_key(4), HINT_KEY])
    with pytest.raises(CorruptError, match="missing"):
        refresh_anew(backend)


def test_an_entry_written_while_probing_is_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = fresh_backend()
    log = started(backend)
    present = backend.get(log_key(0), max_bytes=1 << 20)
    for v in range(1, 10):
        backend.put_if_absent(log_key(v), present)
    whole = log_reading.LogReader.fetch_all
    calls: list[list[int]] = []

    def late(reader: log_reading.LogReader, positions: list[int]) -> list[bytes | None]:
        found = whole(reader, positions)
        calls.append(positions)
        if len(calls) == 1:
            found[positions.index(4)] = None
        return found

    monkeypatch.setattr(log_reading.LogReader, "fetch_all", late)
    assert log.reader.find_tip(0) == 9
    assert calls


def test_a_missing_entry_0_is_damage_never_an_empty_store() -> None:
    log = started()
    backend = fresh_copy(log)
    entry = stored(backend, 0)
    backend.delete_many([log_key(0)])
    with pytest.raises(CorruptError, match="entry 0"):
        refresh_anew(backend)
    assert entry.body is not None
    other = entry_after(None, body(store=entry.body.store))
    backend.put_if_absent(log_key(0), other.data)
    with pytest.raises(CorruptError, match="entry 0"):
        refresh_anew(backend)


def test_history_that_was_rolled_back_or_replaced_is_noticed() -> None:
    log = started()
    for number in range(3):
        log.append(committing(number))
    known = log.position
    backend = fresh_copy(log)
    assert refresh_anew(backend, known) == log.state
    backend.delete_many([log_key(3), HINT_KEY])
    looks: list[Callable[[], LogState]] = [partial(refresh_anew, backend, known), log.refresh]
    for look in looks:
        with pytest.raises(CorruptError, match="history_rewritten"):
            look()
    Log.open(backend).append(committing("other"))
    for look in looks:
        with pytest.raises(CorruptError, match="history_rewritten"):
            look()
    assert refresh_anew(backend).ref(MAIN) == commit("other")


def test_another_store_in_the_same_place_is_noticed() -> None:
    log = started()
    with pytest.raises(CorruptError, match="history_rewritten"):
        Log.open(started().reader._backend, known=log.position)


def test_a_damaged_entry_is_named() -> None:
    log = started()
    log.append(committing(1))
    backend = fresh_copy(log)
    data = bytearray(backend.get(log_key(1), max_bytes=1 << 20))
    data[10] ^= 1
    backend.overwrite(log_key(1), bytes(data))
    with pytest.raises(CorruptError, match="log entry 1"):
        refresh_anew(backend)


def test_unknown_flags_forbid_reading_or_writing() -> None:
    log = started()

    def needing(*needs: str) -> None:
        txn = Transaction(new_token(), "config", "a", TIME, "")
        log.append(lambda _: Draft((txn,), needs=needs))

    needing("w:newer")
    other = Log.open(fresh_copy(log))
    assert other.refresh().needs == ("w:newer",)
    with pytest.raises(NewerFormatError, match="w:newer"):
        other.append(committing(1))
    head = stored(fresh_copy(log), 1)
    entry = entry_after(head, body(), needs=("r:x", "w:newer"))
    fresh_copy(log).put_if_absent(log_key(2), entry.data)
    with pytest.raises(NewerFormatError, match="r:x"):
        other.refresh()
    with pytest.raises(NewerFormatError, match="r:x"):
        refresh_anew(fresh_copy(log))


def test_flags_are_looked_at_before_a_body_of_a_later_version() -> None:
    log = started()
    entry = entry_after(stored(fresh_copy(log), 0), body(), needs=("r:x",))
    lines = entry.data.split(b"\n")
    fresh_copy(log).put_if_absent(log_key(1), b"\n".join([lines[0], b"{later}", lines[2], b""]))
    with pytest.raises(NewerFormatError, match="r:x"):
        refresh_anew(fresh_copy(log))


def test_what_is_no_store() -> None:
    backend = fresh_backend()
    with pytest.raises(NotAStoreError) as caught:
        Log.open(backend)
    assert "deltastore init" in caught.value.hint
    for junk in (b"hello", b"{}", b"[]", b'{"deltastore":"1"}', b"\xff"):
        backend.overwrite("FORMAT", junk)
        with pytest.raises(NotAStoreError):
            Log.open(backend)
    backend.overwrite("FORMAT", b'{"deltastore":2,"anything":[1]}')
    with pytest.raises(NewerFormatError, match="format 2"):
        Log.open(backend)
    backend.overwrite("FORMAT", b'{"deltastore":1,"hash":"blake3","store_id":"x"}')
    with pytest.raises(CorruptError, match="store_id"):
        Log.open(backend)


def test_a_store_that_was_never_finished() -> None:
    log = started()
    backend = fresh_copy(log)
    backend.delete_many(["FORMAT"])
    with pytest.raises(NotAStoreError, match="never finished"):
        Log.open(backend)


class Faulty(MemoryBackend):
    """Fails the creation of log entries as told, once for each word in `plan`.

    `before`: not written, and raises. `after`: written, and raises. `denies`: written, and says
    that it was there already. `rival`: somebody else writes, and it raises. `refuses`: denied.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.plan: list[str] = []

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if not key.startswith("log/") or not self.plan:
            return super().put_if_absent(key, data)
        word = self.plan.pop(0)
        if word == "rival":
            Log.open(MemoryBackend(self.url)).append(committing("rival"))
        if word in ("after", "denies"):
            assert super().put_if_absent(key, data)
        if word == "refuses":
            raise AccessDeniedError("no")
        if word == "denies":
            return False
        raise UnreachableError(f"the connection broke {word} the write")


def faulty(plan: list[str]) -> tuple[Log, Faulty]:
    backend = Faulty(fresh_url())
    log = started(backend)
    log.refresh()
    log._may_write = True
    backend.plan = plan
    return log, backend


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FIRST_PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize(
    "plan", [["after"], ["denies"], ["before"], ["before", "after"], ["before", "denies"]]
)
def test_a_lost_acknowledgement_is_settled_by_reading_back(plan: list[str]) -> None:
    log, backend = faulty(plan)
    entry = log.append(committing(1))
    assert entry.v == 1
    assert refresh_anew(backend) == log.state
    assert log.state.v == 1
    assert log.find_txn(entry.body.txns[0].txn if entry.body else "") == entry


def test_a_rival_that_wins_during_an_outage_is_followed() -> None:
    log, backend = faulty(["rival"])
    assert log.append(committing(1)).v == 2
    assert refresh_anew(backend) == log.state
    assert log.state.ref(MAIN) == commit(1)


def test_an_outage_that_lasts_is_reported_as_unknown() -> None:
    log, backend = faulty(["before"] * 50)
    with pytest.raises(OutcomeUnknownError, match="may be there") as caught:
        log.append(committing(1))
    assert "run the same command again" in caught.value.hint
    backend.plan = []
    assert refresh_anew(backend).v == 0
    assert log.append(committing(1)).v == 1


def test_a_refusal_is_no_unknown_outcome() -> None:
    log, _ = faulty(["refuses"])
    with pytest.raises(AccessDeniedError):
        log.append(committing(1))
    log, _ = faulty(["before", *["refuses"] * 50])
    with pytest.raises(OutcomeUnknownError):
        log.append(committing(1))


class Unsafe(MemoryBackend):
    def capabilities(self) -> Capabilities:
        return Capabilities("C", "2 of 8 races had two winners")


def test_an_unsafe_backend_is_for_reading_or_a_single_writer() -> None:
    url = fresh_url()
    init_store(MemoryBackend(url), created=TIME, actor="a")
    log = Log.open(Unsafe(url))
    assert log.refresh().v == 0
    with pytest.raises(UnsafeBackendError, match="two winners"):
        log.append(committing(1))
    single = Unsafe(fresh_url())
    init_store(single, created=TIME, actor="a", single_writer=True)
    assert Log.open(single).append(committing(1)).v == 1
    assert Log.open(single).form.single_writer


def test_denied_means_absent_once_an_entry_could_be_read(caplog: pytest.LogCaptureFixture) -> None:
    class NoListing(MemoryBackend):
        def get(self, key: str, *, max_bytes: int) -> bytes:
            if key.startswith("log/") and not self.exists(key):
                raise AccessDeniedError(f"403 for {key}")
            return super().get(key, max_bytes=max_bytes)

    url = fresh_url()
    init_store(MemoryBackend(url), created=TIME, actor="a")
    log = Log.open(NoListing(url))
    assert log.append(committing(1)).v == 1
    assert "Grant listing" in caplog.text

    class Denied(MemoryBackend):
        def get(self, key: str, *, max_bytes: int) -> bytes:
            if key.startswith("log/"):
                raise AccessDeniedError("403")
            return super().get(key, max_bytes=max_bytes)

    with pytest.raises(AccessDeniedError):
        Log.open(Denied(url)).refresh()


def test_long_lists_are_kept_in_a_pack() -> None:
    log = started()
    log.append(committing(1))
    names = [f"models/me/m{number}/heads/main" for number in range(2000)]
    moves = tuple(RefMove(name, None, commit(1)) for name in names)
    txn = Transaction(new_token(), "branch", "a", TIME, "many", moves)
    packs = tuple(pack(f"p{number}") for number in range(3000))
    entry = log.append(lambda _: Draft((txn,), add=packs))
    assert len(entry.data) < 256 * 1024
    assert entry.body is not None
    assert entry.body.txns[0].refs == moves
    assert entry.body.add[:-1] == packs
    assert refresh_anew(fresh_copy(log)) == log.state
    assert len(log.state.models()) == 2001
    txn = Transaction(new_token(), "gc", "a", TIME, "")
    log.append(lambda _: Draft((txn,), condemn=packs))
    assert set(log.state.condemned) == set(packs)
    assert refresh_anew(fresh_copy(log)) == log.state


@pytest.mark.parametrize("shared_log", [True, False])
@pytest.mark.parametrize("one_branch", [True, False])
def test_eight_threads_lose_nothing(shared_log: bool, one_branch: bool) -> None:
    log = started()
    barrier = threading.Barrier(8)

    def work(number: int) -> list[Entry]:
        mine = log if shared_log else Log.open(fresh_copy(log))
        ref = MAIN if one_branch else f"models/me/m{number}/heads/main"
        barrier.wait()
        return [mine.append(committing((number, turn), ref)) for turn in range(10)]

    with ThreadPoolExecutor(8) as threads:
        acknowledged = [entry for part in threads.map(work, range(8)) for entry in part]
    state = refresh_anew(fresh_copy(log))
    assert state.v == 80
    assert sorted(entry.v for entry in acknowledged) == list(range(1, 81))
    assert state == Log.open(fresh_copy(log)).replay()
    found = {entry.v: entry for entry in log.entries(1, 80)}
    assert all(found[entry.v] == entry for entry in acknowledged)
    moves = [move for v in range(1, 81) for move in moves_of(found[v])]
    last: dict[str, str | None] = {}
    for move in moves:
        assert last.get(move.name) == move.old
        last[move.name] = move.new


def moves_of(entry: Entry) -> tuple[RefMove, ...]:
    assert entry.body is not None
    return entry.body.txns[0].refs


def test_the_hint_is_a_position() -> None:
    log = started()
    log.append(committing(1))
    hint = fresh_copy(log).get(HINT_KEY, max_bytes=1 << 18)
    assert json.loads(hint.partition(b"\n")[0]) == {"v": 1}


def test_entries_can_be_read_one_by_one() -> None:
    log = started()
    entry = log.append(committing(1))
    assert log.entry(1) == entry == Log.open(fresh_copy(log)).entry(1)
    with pytest.raises(CorruptError, match="missing"):
        log.entry(7)
    assert log.find_txn(digest("no")[:32]) is None


def test_what_a_refresh_and_a_commit_cost() -> None:
    url = fresh_url()
    started(MemoryBackend(url))
    backend, elsewhere = Counting(url), Counting(url)
    log, other = Log.open(backend), Log.open(elsewhere)
    log.append(committing(0))
    other.refresh()
    log.append(committing(1))
    assert backend.cost(log.refresh) == 2  # the tip is still there, and nothing follows it
    assert backend.cost(lambda: log.append(committing(2))) == 4  # the same, the entry, the hint
    log.append(committing(3))
    # two at first, seven probes, one to bisect, the new entries but the first
    assert elsewhere.cost(other.refresh) <= 2 + 1 + 7 + 3 + 2
    log.append(committing(4))
    assert elsewhere.cost(other.refresh) == 3  # the old tip, the new entry, nothing behind it
