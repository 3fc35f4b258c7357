"""Packs from somebody who lies: never wrong bytes, never unbounded memory, only our errors."""

from __future__ import annotations

import random
import struct
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deltastore.errors import (
    CorruptError,
    IntegrityError,
    NewerFormatError,
    UnsupportedError,
    UsageError,
)
from deltastore.ids import blob_digest, bytes_digest, canonical_json
from deltastore.storage.headers import decode_head
from deltastore.storage.index import decode_index, decode_records, encode_index, encode_record
from deltastore.storage.keys import pack_key
from deltastore.storage.limits import MAX_INDEX, record_problem
from deltastore.storage.locators import decode_locator, encode_locator
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packs import PackReader
from deltastore.storage.records import Input, Kind, PackId, Placement, Record
from deltastore.storage.sections import decode_directory
from deltastore.storage.spool import PackSpool
from deltastore.storage.zstd import compress_text

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.storage.packing import SpooledPack

SOME = bytes_digest(b"some")


def a_record(**changes: Any) -> Record:
    return replace(
        Record(
            kind=Kind.TENSOR,
            digest=SOME,
            dtype="BF16",
            shape=(5, 1000),
            codec="exact/1",
            parameters=b'{"scale":"1"}',
            inputs=(Input(SOME), Input(SOME, (0, 2, 1, 3))),
            raw_length=10_000,
            blocks=1,
            first_block=0,
            block_count=1,
            offset=64,
            length=4000,
            directory_hash=SOME,
        ),
        **changes,
    )


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> MemoryBackend:
    return MemoryBackend(f"memory://attack/{request.node.name}")


@pytest.fixture
def pack(tmp_path: Path) -> SpooledPack:
    content = np.random.default_rng(2).integers(0, 20, 30_000, dtype=np.uint8).tobytes()
    spool = PackSpool(tmp_path, "test", nonce=lambda: "ab" * 16)
    spool.add_blob("meta", Kind.COMMIT, bytes_digest(b"{}"), b"{}")
    spool.add_blob("meta", Kind.BLOB, blob_digest(len(content), bytes_digest(content)), content)
    spool.add_blob("meta", Kind.LIST, bytes_digest(content[:999]), content[:999])
    (found,) = spool.finish()
    return found


def read_all(backend: MemoryBackend, pack: SpooledPack) -> list[bytes]:
    reader = PackReader(backend)
    return [reader.object(place, max_bytes=1 << 20) for place in reader.index(pack.pack)]


def test_every_flipped_byte_and_every_cut_is_noticed(
    memory: MemoryBackend, pack: SpooledPack
) -> None:
    """Bytes that nothing vouches for are the padding between sections, and nothing reads them."""
    good = pack.path.read_bytes()
    key = pack_key(pack.pack)
    memory.put_immutable(key, good)
    truth = read_all(memory, pack)
    rng = random.Random(4)
    spots = sorted({*range(0, 4200, 7), *(rng.randrange(len(good)) for _ in range(600))})
    unread = noticed = 0
    for at in spots:
        memory.put_immutable(key, good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :])
        try:
            assert read_all(memory, pack) == truth
            unread += 1
        except CorruptError as reason:
            noticed += pack.pack in str(reason)
    padding = len(good) - pack.placements[0].data_start
    padding -= sum(place.record.length for place in pack.placements)
    assert padding < 128
    assert unread <= padding
    assert noticed > len(spots) - 10
    for cut in spots:
        memory.put_immutable(key, good[:cut])
        with pytest.raises(IntegrityError):
            read_all(memory, pack)


def test_damage_found_through_a_placement_alone(memory: MemoryBackend, pack: SpooledPack) -> None:
    """A locator's reader never sees the pack's own index."""
    good = pack.path.read_bytes()
    place = pack.placements[1]
    start = place.data_start + place.record.offset
    for at in range(start, start + place.record.length, 97):
        memory.put_immutable(pack_key(pack.pack), good[:at] + b"\xa5\x5a" + good[at + 2 :])
        with pytest.raises(CorruptError, match="section of blob"):
            PackReader(memory).object(place, max_bytes=1 << 20)


def test_swapped_packs_are_noticed(memory: MemoryBackend, pack: SpooledPack) -> None:
    other = PackId(bytes_digest(b"another pack"))
    memory.put_immutable(pack_key(other), pack.path)
    with pytest.raises(CorruptError, match=other):
        PackReader(memory).index(other)


def forged(text: bytes, index: bytes = b"", data: bytes = b"") -> tuple[PackId, bytes]:
    """A pack with a header of one's own; its id is true, since anybody can hash."""
    head = (4088).to_bytes(8, "little") + text.ljust(4088)
    return PackId(bytes_digest(head)), head + index + data


def header(index: bytes, data: bytes, **changes: Any) -> dict[str, Any]:
    end = len(index) + len(data)
    about = {"class": "meta", "format": "deltastore pack", "index_b3": bytes_digest(index)}
    about |= {"nonce": "0" * 32, "version": "1", "writer": "x"} | changes
    return {
        "__metadata__": about,
        "index": {"dtype": "U8", "shape": [len(index)], "data_offsets": [0, len(index)]},
        "data": {"dtype": "U8", "shape": [len(data)], "data_offsets": [len(index), end]},
    }


def test_lying_headers() -> None:
    good = header(b"i", b"d")
    lies: list[Any] = [
        [],
        {},
        {**good, "extra": {}},
        {**good, "__metadata__": 5},
        header(b"i", b"d", **{"class": "secret"}),
        header(b"i", b"d", format="other"),
        header(b"i", b"d", version=1),
        header(b"i", b"d", index_b3="../../x"),
    ]
    entries: list[Any] = [
        {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]},
        {"dtype": "U8", "shape": [2], "data_offsets": [0, 1]},
        {"dtype": "BF16", "shape": [1], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [1, 1], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [-1], "data_offsets": [0, -1]},
        {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]},
        {"dtype": "U8", "shape": ["1"], "data_offsets": [0, "1"]},
        {"dtype": "U8", "data_offsets": None},
    ]
    for lie in [*lies, *({**good, "index": entry} for entry in entries)]:
        pack, raw = forged(canonical_json(lie))
        with pytest.raises(CorruptError, match=pack):
            decode_head(raw[:4096], pack)
    for text in (b"", b"[" * 4000, b'{"a":1,"a":2}', b"\xff\xfe", b"{" + b'"a":1,' * 300):
        pack, raw = forged(text)
        with pytest.raises(CorruptError):
            decode_head(raw[:4096], pack)
    pack, raw = forged(canonical_json(header(b"i", b"d", version="2")))
    with pytest.raises(NewerFormatError, match="version"):
        decode_head(raw[:4096], pack)


def test_a_header_that_is_shorter_than_it_says(memory: MemoryBackend) -> None:
    text = canonical_json(header(b"", b""))
    head = (2000).to_bytes(8, "little") + text.ljust(4088)
    pack = PackId(bytes_digest(head))
    memory.put_immutable(pack_key(pack), head)
    with pytest.raises(CorruptError, match="4096 bytes long"):
        PackReader(memory).index(pack)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"raw_length": 10_001}, "bytes for BF16"),
        ({"raw_length": 1 << 62}, "bytes for BF16"),
        ({"shape": (1 << 63, 1 << 63), "raw_length": 10_000}, "bytes for BF16"),
        ({"blocks": 2, "block_count": 2}, "blocks for"),
        ({"blocks": 0, "block_count": 0}, "blocks for"),
        ({"blocks": 1, "first_block": 1}, "blocks \\["),
        ({"block_count": 0}, "blocks \\["),
        ({"length": 19}, "a section of"),
        ({"length": (1 << 32) + 1}, "a section of"),
        ({"offset": 65}, "offset 65"),
        ({"offset": 1 << 40}, "offset"),
        ({"codec": "exact"}, "codec name"),
        ({"codec": "../x/1"}, "codec name"),
        ({"inputs": (Input(SOME, (0, 3, 0, 2)),)}, "rows"),
        ({"inputs": (Input(SOME, (0, 9, 0, 9)),)}, "rows"),
        ({"inputs": (Input(SOME, (3, 1, 3, 1)),)}, "rows"),
        ({"kind": Kind.BLOB}, "on no tensor"),
    ],
)
def test_impossible_records(
    changes: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = a_record(**changes)
    with pytest.raises(UsageError, match=why):
        encode_record(record)
    with monkeypatch.context() as patch:
        patch.setattr("deltastore.storage.index.record_problem", lambda _: "")
        data = encode_record(record)
    with pytest.raises(CorruptError, match=why):
        decode_records(data, 1)


def test_a_possible_record_is_not_refused() -> None:
    assert record_problem(a_record()) == ""
    assert decode_records(encode_record(a_record()), 1) == (a_record(),)


def test_unknown_codes() -> None:
    data = bytearray(encode_record(a_record()))
    for at, value, error in ((0, 99, CorruptError), (0, 0, CorruptError), (33, 77, CorruptError)):
        changed = bytearray(data)
        changed[at] = value
        with pytest.raises(error, match="unknown"):
            decode_records(bytes(changed), 1)
    plain = encode_record(a_record(inputs=(Input(SOME),)))
    view = plain.rindex(bytes.fromhex(SOME), 0, len(plain) - 40) + 32
    assert plain[view] == 0
    with pytest.raises(UnsupportedError, match="view 3"):
        decode_records(plain[:view] + b"\3" + plain[view + 1 :], 1)


def test_garbled_records_and_locators_raise_only_our_errors() -> None:
    rng = random.Random(7)
    good = encode_record(a_record()) * 3
    placement = Placement(PackId(SOME), 5000, a_record())
    locator = encode_locator([placement] * 3)
    outcomes = 0
    for _ in range(3000):
        for data, decode in ((good, lambda d: decode_records(d, 3)), (locator, decode_locator)):
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            cut = bytes(changed[: rng.randrange(len(changed) + 1)])
            for hostile in (bytes(changed), cut):
                try:
                    decode(hostile)
                except (CorruptError, UnsupportedError):
                    outcomes += 1
    assert outcomes > 6000


def test_counts_that_promise_more_than_there_is() -> None:
    most = 0xFFFFFFFF
    tracemalloc.start()
    for data in (
        b"DSLOCAT1" + struct.pack("<I", most),
        b"DSLOCAT1" + struct.pack("<II", 0, most),
        b"DSLOCAT1" + struct.pack("<III", 0, 1, 7),
        b"DSLOCAT2" + struct.pack("<II", 0, 0),
        b"",
    ):
        with pytest.raises(CorruptError):
            decode_locator(data)
    for raw in (
        b"DSINDEX1" + struct.pack("<I", most),
        b"DSINDEX1" + struct.pack("<I", 60_000),
        b"DSINDEX1",
        b"DSINDEX2" + struct.pack("<I", 0),
    ):
        with pytest.raises(CorruptError):
            decode_index(compress_text(raw))
    with pytest.raises(CorruptError, match="allowed"):
        decode_index(compress_text(bytes(MAX_INDEX + 1)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 << 20


def test_overlapping_sections_and_trailing_bytes() -> None:
    first = a_record(offset=0, length=100)
    with pytest.raises(UsageError, match="overlap"):
        encode_index([first, a_record(offset=64)])
    body = b"".join(map(encode_record, [first, a_record(offset=64)]))
    with pytest.raises(CorruptError, match="overlap"):
        decode_index(compress_text(b"DSINDEX1" + struct.pack("<I", 2) + body))
    with pytest.raises(CorruptError, match="after the last record"):
        decode_records(encode_record(first) + b"\0", 1)
    with pytest.raises(UsageError, match="two beginnings"):
        encode_locator([Placement(PackId(SOME), start, first) for start in (4096, 5000)])


def test_an_index_that_points_beyond_the_data(memory: MemoryBackend) -> None:
    index = encode_index([a_record(offset=0, length=4000)])
    pack, raw = forged(canonical_json(header(index, b"short")), index, b"short")
    memory.put_immutable(pack_key(pack), raw)
    with pytest.raises(CorruptError, match="beyond its data"):
        PackReader(memory).index(pack)


def test_lying_directories() -> None:
    def directory(*lengths: int) -> bytes:
        return b"".join(struct.pack("<I", size) + bytes(16) for size in lengths)

    for lengths, length, why in (
        ((3980,), 3999, "payloads end"),
        ((3980,), 4001, "payloads end"),
        ((10_000 + 65_537,), 20 + 10_000 + 65_537, "larger than any"),
        ((0xFFFFFFFF,), 4000, "larger than any"),
    ):
        data = directory(*lengths)
        record = a_record(length=length, directory_hash=bytes_digest(data))
        with pytest.raises(CorruptError, match=why):
            decode_directory(data, record, what="test")
    with pytest.raises(CorruptError, match="directory is damaged"):
        decode_directory(directory(3980), a_record(), what="test")
