"""What others may put into a log, a meta pack or a checkpoint, and what must come of it."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.errors import CorruptError, DeltastoreError, MissingObjectError
from deltastore.history.checkpoint_roots import Root
from deltastore.history.commits import CommitHeader
from deltastore.history.entries import (
    CheckpointRef,
    Draft,
    Entry,
    RefMove,
    Spilled,
    Transaction,
    log_key,
    new_token,
)
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.entry_encoding import encode_body, encode_head
from deltastore.history.hints import HINT_KEY
from deltastore.history.log import Log
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.history.objects import HistoryReader
from deltastore.history.segment_rows import parse_commits, parse_packs, parse_refs
from deltastore.ids import CommitId, bytes_digest
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packs import PackReader, publish
from deltastore.storage.records import Kind
from deltastore.storage.spool import PackSpool
from tests.unit.history.samples import (
    MAIN,
    TIME,
    body,
    commit,
    digest,
    entry_after,
    genesis,
    header,
    pack,
    transaction,
)
from tests.unit.history.stores import committing, started
from tests.unit.history.versions import Fixture, version

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.storage.records import PackId

DEEP = b"[" * 100_000 + b"]" * 100_000
JUNK = {
    "empty": b"",
    "deep": DEEP,
    "deep value": b'{"a":' + DEEP + b"}",
    "digits": b'{"v":' + b"9" * 5000 + b"}",
    "float": b'{"v":1.5}',
    "nan": b'{"v":NaN}',
    "duplicate": b'{"v":1,"v":2}',
    "surrogate": b'{"v":"\\ud800"}',
    "latin": b'{"v":"\xe9"}',
    "list": b"[]",
    "null": b"null",
    "zeros": bytes(4000),
}
PARSERS: dict[str, Callable[[bytes], object]] = {
    "header": CommitHeader.decode,
    "manifest": Manifest.decode,
    "entry": decode_entry,
    "root": Root.decode,
    "refs": parse_refs,
    "packs": parse_packs,
}


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_junk_is_corrupt_everywhere(parser: Callable[[bytes], object], junk: bytes) -> None:
    if junk == b"[]" and parser is parse_refs:
        assert parser(junk) == {}
        return
    with pytest.raises(CorruptError):
        parser(junk)


def sealed(head: bytes, content: bytes) -> bytes:
    return b"%s\n%s\n%s\n" % (head, content, bytes_digest(head).encode())


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_junk_with_the_right_hashes_is_corrupt(junk: bytes) -> None:
    with pytest.raises(CorruptError):
        decode_entry(sealed(junk, encode_body(body())))
    head = encode_head(replace(genesis().head, body=bytes_digest(junk)))
    if junk == b"null":
        assert decode_entry(sealed(head, junk)).body is None
        return
    with pytest.raises(CorruptError):
        decode_entry(sealed(head, junk))


def mutations(document: Any, rng: random.Random) -> Any:
    """The same document with one random place replaced by something of another kind."""
    other: Any = rng.choice(
        [None, True, -1, 2**60, "x", "../..", "f" * 64, [], {}, [[]], {"a": {}}, 1.5]
    )
    if isinstance(document, dict) and document and rng.random() < 0.8:
        key = rng.choice(sorted(document))
        return document | {key: mutations(document[key], rng)}
    if isinstance(document, list) and document and rng.random() < 0.8:
        at = rng.randrange(len(document))
        return [*document[:at], mutations(document[at], rng), *document[at + 1 :]]
    return other


def test_mutated_documents_are_valid_or_corrupt_never_a_crash() -> None:
    rng = random.Random(7)
    rich = transaction("x", [RefMove(MAIN, None, commit(1))], [commit(1)], pack(1))
    content = body(rich, add=[pack(1)])
    entry = entry_after(genesis(), content)
    manifest = Manifest((ManifestFile("a/b", 1, "a" * 64, blob=digest(1)), *version(["w"]).files))
    originals = [
        (CommitHeader.decode, header().encode()),
        (Manifest.decode, manifest.encode()),
        (Root.decode, Root(0, digest(1), ()).encode()),
    ]
    refused = 0
    for _ in range(1500):
        for parse, data in originals:
            refused += is_refused(parse, json.dumps(mutations(json.loads(data), rng)).encode())
        head = json.dumps(mutations(json.loads(entry.head_line), rng)).encode()
        refused += is_refused(decode_entry, sealed(head, entry.body_line))
        line = json.dumps(mutations(json.loads(entry.body_line), rng)).encode()
        head = encode_head(replace(entry.head, body=bytes_digest(line)))
        refused += is_refused(decode_entry, sealed(head, line))
    assert refused > 3000


def is_refused(parse: Callable[[bytes], object], data: bytes) -> bool:
    try:
        parse(data)
    except CorruptError:
        return True
    return False


def test_every_single_flipped_bit_of_an_entry_is_noticed() -> None:
    entry = entry_after(genesis(), body(transaction("x")))
    data = entry.data
    for at in range(len(data)):
        for bit in (1, 32):
            flipped = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            with pytest.raises(CorruptError):
                decode_entry(flipped, v=1)


def backend_of(log: Log) -> MemoryBackend:
    return MemoryBackend(log.reader._backend.url)


def plant(log: Log, entry: Entry) -> MemoryBackend:
    """Create an entry as somebody else's program might."""
    backend = backend_of(log)
    backend.put_if_absent(log_key(entry.v), entry.data)
    return backend


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("models/../x/heads/main", commit(1)),
        ("models/me/x/heads/../../../y", commit(1)),
        ("/etc/passwd", commit(1)),
        ("models/me/x/heads/a\x00b", commit(1)),
        ("HEAD", commit(1)),
        ("models/me/x/heads/main", CommitId("../" * 21 + "x")),
    ],
)
def test_hostile_ref_names_are_corrupt(name: str, new: CommitId) -> None:
    log = started()
    txn = transaction("x", [RefMove(name, None, new)], [commit(1)], pack(1))
    line = encode_body(body(txn, add=[pack(1)]))
    before = log.entry(0)
    head = encode_head(replace(before.head, v=1, prev=before.hash, body=bytes_digest(line)))
    backend = backend_of(log)
    backend.put_if_absent(log_key(1), sealed(head, line))
    with pytest.raises(CorruptError):
        Log.open(backend).refresh()


def test_a_ref_to_a_commit_that_was_never_written_is_corrupt() -> None:
    log = started()
    txn = transaction("x", [RefMove(MAIN, None, commit("?"))])
    backend = plant(log, entry_after(log.entry(0), body(txn)))
    with pytest.raises(CorruptError, match="unknown commit"):
        Log.open(backend).refresh()


def test_an_entry_of_another_store_is_corrupt() -> None:
    log, other = started(), started()
    foreign = entry_after(log.entry(0), body())
    foreign_head = replace(foreign.head, store_id=other.state.store_id)
    line = encode_head(foreign_head)
    backend = backend_of(log)
    backend.put_if_absent(log_key(1), sealed(line, foreign.body_line))
    with pytest.raises(CorruptError, match="another store"):
        Log.open(backend).refresh()


def test_a_hint_into_the_far_future_costs_one_request() -> None:
    log = started()
    log.append(committing(1))
    backend = backend_of(log)
    backend.overwrite(HINT_KEY, b'{"v":9007199254740992}')
    before = backend.traffic.requests or 0
    assert Log.open(backend).refresh() == log.state
    assert (backend.traffic.requests or 0) - before < 20


def list_pack(backend: MemoryBackend, data: bytes, name: str | None = None) -> PackId:
    with TemporaryDirectory() as folder, PackSpool(Path(folder), "t/1") as spool:
        spool.add_blob("meta", Kind.LIST, bytes_digest(data), data)
        (made,) = spool.finish()
        publish(backend, made)
    return made.pack


@pytest.mark.parametrize("data", [b"{}", b'["x"]', DEEP, b"[1.5]", b'[{"pack":1}]'])
def test_a_hostile_spilled_list_is_corrupt(data: bytes) -> None:
    log = started()
    backend = backend_of(log)
    where = list_pack(backend, data)
    spilled = Spilled(where, bytes_digest(data), 1)
    line = encode_body(body(), {"condemn": spilled})
    before = log.entry(0)
    head = encode_head(replace(before.head, v=1, prev=before.hash, body=bytes_digest(line)))
    backend.put_if_absent(log_key(1), sealed(head, line))
    with pytest.raises(CorruptError):
        Log.open(backend).refresh()


def test_a_spilled_list_that_is_gone_is_missing() -> None:
    log = started()
    line = encode_body(body(), {"add": Spilled(pack("gone"), digest("list"), 3)})
    before = log.entry(0)
    head = encode_head(replace(before.head, v=1, prev=before.hash, body=bytes_digest(line)))
    backend = backend_of(log)
    backend.put_if_absent(log_key(1), sealed(head, line))
    with pytest.raises(MissingObjectError):
        Log.open(backend).refresh()


def test_a_checkpoint_full_of_lies_is_not_believed_when_its_rows_break_the_format() -> None:
    log = started()
    for seed in range(140):
        log.append(committing(seed))
    for junk in JUNK.values():
        with TemporaryDirectory() as folder, PackSpool(Path(folder), "t/1") as spool:
            spool.add_blob("checkpoint", Kind.CHECKPOINT, bytes_digest(junk), junk)
            (made,) = spool.finish()
            publish(backend_of(log), made)
        ckpt = CheckpointRef(log.state.v, made.pack, bytes_digest(junk))
        last = log.entry(log.state.v)
        needs = log.state.needs
        entry = entry_after(last, body(transaction(junk), add=[made.pack]), ckpt=ckpt, needs=needs)
        cold = Log.open(plant(log, entry))
        assert cold.refresh() == cold.replay()
        log = cold


@pytest.mark.parametrize(
    "rows",
    [
        [["models/me/x/heads/main", "f" * 64]],
        [["main", "f" * 64, 1]],
        [["models/me/x/heads/main", None, 1]],
        [["models/me/x/heads/main", "F" * 64, 1]],
        [["models/me/x/heads/main", "f" * 64, -1]],
        [["models/me/x/heads/main", "f" * 64, 1, 2, 3]],
        [{}],
        {"a": 1},
    ],
)
def test_bad_rows_of_refs_are_corrupt(rows: Any) -> None:
    with pytest.raises(CorruptError):
        parse_refs(json.dumps(rows).encode())


def test_bad_rows_of_commits_are_corrupt() -> None:
    row = bytes(64)
    assert len(parse_commits(row)) == 1
    for data in (row[:63], row + row, b"\1" * 64 + row):
        with pytest.raises(CorruptError):
            parse_commits(data)


@pytest.mark.parametrize("key", ["add", "condemn"])
@pytest.mark.parametrize("rows", [[["x", 1]], [[pack(1)]], [[pack(1), "1"]], [pack(1)], None, {}])
def test_bad_rows_of_packs_are_corrupt(key: str, rows: Any) -> None:
    document = {"add": [], "condemn": [], "absent": []} | {key: rows}
    with pytest.raises(CorruptError):
        parse_packs(json.dumps(document).encode())


def test_a_meta_pack_that_serves_another_header_is_refused() -> None:
    store = Fixture()
    made = store.commit("w")
    data = header(message="forged").encode()
    with TemporaryDirectory() as folder, PackSpool(Path(folder), "t/1") as spool:
        # the section claims to be the commit; its content is something else
        spool.add_blob("meta", Kind.COMMIT, bytes_digest(store.history.header(made).encode()), data)
        (forged,) = spool.finish()
        publish(store.backend, forged)
    txn = Transaction(new_token(), "repack", "a", TIME, "", (), (made,), forged.pack)
    store.log.append(lambda _: Draft((txn,), add=(forged.pack,)))
    with pytest.raises(CorruptError):
        HistoryReader(PackReader(store.backend), store.log).header(made)


def test_hostile_paths_in_a_stored_manifest_never_reach_a_caller() -> None:
    for path in ("../../etc/cron.d/x", "/root/.ssh/authorized_keys", ".deltastore/workspace.toml"):
        file = {"path": path, "size": 1, "sha256": None, "blob": digest(1)}
        with pytest.raises(CorruptError):
            Manifest.decode(json.dumps({"files": [file]}).encode())


def test_a_manifest_of_many_deep_folders_is_checked_in_reasonable_time() -> None:
    folder = "/".join("a" * 500)
    files = [
        {"path": f"{folder}/{n:04}", "size": 1, "sha256": None, "blob": digest(1)}
        for n in range(1_000)
    ]
    data = json.dumps({"files": files}).encode()
    start = time.monotonic()
    assert len(Manifest.decode(data).files) == 1_000
    assert time.monotonic() - start < 10


def test_errors_name_what_is_wrong_and_are_all_of_the_tree() -> None:
    log = started()
    backend = plant(log, entry_after(log.entry(0), body(transaction("x"), add=[pack(1)])))
    backend.put_if_absent(log_key(2), b"not an entry")
    with pytest.raises(DeltastoreError, match="log entry 2"):
        Log.open(backend).refresh()
