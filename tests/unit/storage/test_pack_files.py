"""Packs end to end: spooled, published, read back in every way there is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open

from deltastore.errors import CorruptError, MissingObjectError, UnsupportedError, UsageError
from deltastore.ids import Digest, blob_digest, bytes_digest
from deltastore.storage.blobs import blob_payloads, blob_representation
from deltastore.storage.local import LocalBackend
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packing import PackWriter
from deltastore.storage.packs import PackReader, publish
from deltastore.storage.records import Input, Kind, PackId, Placement, Representation
from deltastore.storage.sections import cover
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore.storage.packing import SpooledPack

WRITER = "deltastore test"
NONCE = "0123456789abcdef" * 2
MIB = 1 << 20


def tensor(name: str, elements: int, **more: object) -> Representation:
    """A BF16 vector in blocks of 2^20 elements."""
    return Representation(
        kind=Kind.TENSOR,
        digest=bytes_digest(name.encode()),
        codec="dense/1",
        raw_length=2 * elements,
        blocks=-(-elements // MIB),
        dtype="BF16",
        shape=(elements,),
        **more,  # type: ignore[arg-type]  # keyword arguments of one dataclass
    )


def payloads_of(item: Representation, size: int = 300) -> list[bytes]:
    rng = np.random.default_rng(int(item.digest[:8], 16))
    return [rng.bytes(size + block) for block in range(item.blocks)]


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> MemoryBackend:
    return MemoryBackend(f"memory://{request.node.name}")


def one_pack(folder: Path, items: list[Representation], size: int = 300) -> SpooledPack:
    writer = PackWriter("exact", folder, WRITER, nonce=NONCE)
    for item in items:
        writer.add(item, payloads_of(item, size))
    return writer.finish()


def test_what_is_written_is_read(tmp_path: Path, memory: MemoryBackend) -> None:
    base = Input(bytes_digest(b"base"), (0, 5, 5, 10))
    items = [
        tensor("one", 3 * MIB + 17, parameters=b'{"scale":"3f80"}', inputs=(base,)),
        tensor("empty", 0),
        tensor("two", 100, inputs=(Input(bytes_digest(b"other")),)),
    ]
    pack = one_pack(tmp_path, items)
    assert pack.size == pack.path.stat().st_size
    assert publish(memory, pack) == pack.size
    assert not pack.path.exists()
    reader = PackReader(memory)
    assert reader.index(pack.pack) == pack.placements
    assert reader.contents(pack.pack).head.pack_class == "exact"
    assert reader.contents(pack.pack).head.size == pack.size
    for item, placement in zip(items, reader.index(pack.pack), strict=True):
        assert placement.record.representation == item
        assert placement.record.offset % 64 == 0
        assert list(reader.payloads(placement)) == payloads_of(item)
    assert reader.sections(reader.index(pack.pack)) == [tuple(payloads_of(item)) for item in items]


def test_stock_safetensors_opens_a_pack(tmp_path: Path) -> None:
    pack = one_pack(tmp_path, [tensor("one", 2 * MIB)])
    with safe_open(pack.path, framework="numpy") as file:
        about = file.metadata()
        assert set(file.keys()) == {"index", "data"}
        index, data = file.get_tensor("index"), file.get_tensor("data")
    assert about == {
        "class": "exact",
        "format": "deltastore pack",
        "index_b3": bytes_digest(index.tobytes()),
        "nonce": NONCE,
        "version": "1",
        "writer": WRITER,
    }
    raw = pack.path.read_bytes()
    assert str(pack.pack) == bytes_digest(raw[:4096])
    assert raw[4096 : 4096 + index.size] == index.tobytes()
    assert raw[pack.placements[0].data_start :] == data.tobytes()
    assert json.loads(raw[8:4096])["data"]["dtype"] == "U8"


def test_an_empty_pack_is_a_pack(tmp_path: Path, memory: MemoryBackend) -> None:
    pack = PackWriter("meta", tmp_path, WRITER).finish()
    with safe_open(pack.path, framework="numpy") as file:
        assert file.get_tensor("data").size == 0
    publish(memory, pack)
    assert PackReader(memory).index(pack.pack) == ()


def test_bytes_depend_on_content_and_nonce_only(tmp_path: Path) -> None:
    items = [tensor("one", 5 * MIB), tensor("two", 7)]
    first = one_pack(tmp_path / "a", items)
    second = one_pack(tmp_path / "b", items)
    assert first.pack == second.pack
    assert first.path.read_bytes() == second.path.read_bytes()
    third = PackWriter("exact", tmp_path / "c", WRITER)
    for item in items:
        third.add(item, payloads_of(item))
    assert third.finish().pack != first.pack


def test_block_ranges_read_only_what_they_need(tmp_path: Path, memory: MemoryBackend) -> None:
    item = tensor("large", 40 * MIB)
    writer = PackWriter("exact", tmp_path, WRITER)
    writer.add(item, (bytes([block]) * MIB for block in range(40)))
    pack = writer.finish()
    publish(memory, pack)
    reader, placement = PackReader(memory), pack.placements[0]
    before = memory.traffic.bytes_read, memory.traffic.requests or 0
    assert list(reader.payloads(placement, range(7, 9))) == [bytes([7]) * MIB, bytes([8]) * MIB]
    assert memory.traffic.bytes_read - before[0] == 40 * 20 + 2 * MIB
    assert (memory.traffic.requests or 0) - before[1] == 2
    largest = 0
    for block, payload in enumerate(reader.payloads(placement)):
        assert payload == bytes([block]) * MIB
        largest = max(largest, len(payload))
    assert (memory.traffic.requests or 0) - before[1] == 2 + 1 + 3
    assert list(reader.payloads(placement, range(3, 3))) == []
    for wrong in (range(39, 41), range(-1, 2), range(0, 10, 2)):
        with pytest.raises(UsageError):
            list(reader.payloads(placement, wrong))


def test_a_cold_index_takes_one_request_or_two(tmp_path: Path, memory: MemoryBackend) -> None:
    small = one_pack(tmp_path, [tensor("one", 10)])
    rng = np.random.default_rng(1)
    many = [tensor(str(rng.integers(1 << 60)), 10) for _ in range(2000)]
    large = one_pack(tmp_path, many, size=1)
    for pack, requests in ((small, 1), (large, 2)):
        publish(memory, pack)
        reader = PackReader(memory)
        before = memory.traffic.requests or 0
        assert reader.index(pack.pack) == pack.placements
        assert reader.index(pack.pack) is reader.index(pack.pack)
        assert (memory.traffic.requests or 0) - before == requests


def test_many_small_sections_come_in_one_request(tmp_path: Path, memory: MemoryBackend) -> None:
    items = [tensor(str(number), 50) for number in range(300)]
    pack = one_pack(tmp_path, items)
    publish(memory, pack)
    before = memory.traffic.requests or 0
    found = PackReader(memory).sections(tuple(reversed(pack.placements)))
    assert found == [tuple(payloads_of(item)) for item in reversed(items)]
    assert (memory.traffic.requests or 0) - before == 1


def test_indexes_in_memory_are_bounded(
    tmp_path: Path, memory: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deltastore.storage.openings.CACHED_RECORDS", 5)
    reader = PackReader(memory)
    packs = []
    for number in range(4):
        items = [tensor(f"{number}.{part}", 9) for part in range(3)]
        writer = PackWriter("exact", tmp_path, WRITER)
        for item in items:
            writer.add(item, payloads_of(item))
        packs.append(writer.finish())
        publish(memory, packs[-1])
        reader.index(packs[-1].pack)
    assert list(reader._openings._contents) == [packs[-1].pack]
    assert reader.index(packs[0].pack) == packs[0].placements


def documents(size: int) -> bytes:
    return b"".join(b'{"name":"layers.%d"}' % number for number in range(size // 18 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, 1000, 4 * MIB, 4 * MIB + 1, 9 * MIB])
def test_blobs_and_documents(tmp_path: Path, memory: MemoryBackend, size: int) -> None:
    random = np.random.default_rng(size).bytes(size)
    with PackSpool(tmp_path, WRITER) as spool:
        for content in (random, documents(size)):
            spool.add_blob("whole", Kind.BLOB, blob_digest(size, bytes_digest(content)), content)
            spool.add_blob("whole", Kind.MANIFEST, bytes_digest(content), content)
        spool.add_blob("whole", Kind.LOCATOR, bytes_digest(b"a manifest"), random)
        (pack,) = spool.finish()
        publish(memory, pack)
    reader = PackReader(memory)
    found = [reader.object(place, max_bytes=size) for place in reader.index(pack.pack)]
    assert found == [random, random, documents(size), documents(size), random]
    assert list(blob_payloads(iter([random[:5], random[5:]]))) == list(blob_payloads(random))
    with pytest.raises(CorruptError, match="over"):
        reader.object(pack.placements[0], max_bytes=size - 1)


def test_a_large_blob_spans_sections_and_packs(tmp_path: Path, memory: MemoryBackend) -> None:
    content = np.random.default_rng(8).bytes(30 * MIB)
    digest = blob_digest(len(content), bytes_digest(content))
    item = blob_representation(Kind.BLOB, digest, len(content))
    with PackSpool(tmp_path, WRITER, target_bytes=9 * MIB) as spool:
        pieces = (content[at : at + 700_000] for at in range(0, len(content), 700_000))
        spool.add("whole", item, blob_payloads(pieces))
        packs = spool.finish()
        for pack in packs:
            publish(memory, pack)
    placements = [place for pack in packs for place in PackReader(memory).index(pack.pack)]
    assert len(packs) > 1
    assert len(placements) > 2
    reader = PackReader(memory)
    assert b"".join(reader.blob_chunks(reversed(placements))) == content
    assert b"".join(reader.blob_chunks(placements + placements)) == content
    with pytest.raises(MissingObjectError, match="block"):
        list(reader.blob_chunks(placements[:1] + placements[2:]))
    with pytest.raises(MissingObjectError):
        reader.object(placements[0], max_bytes=1 << 30)


def test_content_that_is_not_what_its_digest_says(tmp_path: Path, memory: MemoryBackend) -> None:
    with PackSpool(tmp_path, WRITER) as spool:
        spool.add_blob("meta", Kind.COMMIT, bytes_digest(b"another commit"), b"{}")
        spool.add("meta", tensor("weights", 9), [b"payload"])
        (pack,) = spool.finish()
        publish(memory, pack)
    commit, weights = pack.placements
    with pytest.raises(CorruptError, match="its content has digest"):
        PackReader(memory).object(commit, max_bytes=100)
    with pytest.raises(UnsupportedError, match="dense/1"):
        PackReader(memory).object(weights, max_bytes=100)


def test_cover_takes_each_block_once(tmp_path: Path) -> None:
    item = tensor("spread", 10 * MIB)
    writer = PackWriter("exact", tmp_path, WRITER)
    source = payloads_of(item)
    for first, count in ((0, 4), (2, 5), (2, 1), (6, 4)):
        writer.add(item, source[first : first + count], first_block=first, block_count=count)
    places = writer.finish().placements
    taken = cover(reversed(places))
    assert [blocks for _, blocks in taken] == [range(4), range(4, 7), range(7, 10)]
    with pytest.raises(MissingObjectError, match="block 4 of 10"):
        cover([places[0], places[3]])
    with pytest.raises(MissingObjectError):
        cover([])


def test_a_missing_pack_is_named(tmp_path: Path, memory: MemoryBackend) -> None:
    pack = one_pack(tmp_path, [tensor("one", 9)])
    reader = PackReader(memory)
    for read in (
        lambda: reader.index(pack.pack),
        lambda: list(reader.payloads(pack.placements[0])),
        lambda: reader.sections(pack.placements),
        lambda: reader.directory(pack.placements[0]),
    ):
        with pytest.raises(MissingObjectError, match=pack.pack):
            read()
    with pytest.raises(CorruptError, match="not the id"):
        reader.index(PackId("../../etc/passwd"))


def test_wrong_payloads_leave_nothing_behind(tmp_path: Path) -> None:
    item = tensor("one", 3 * MIB)
    for wrong in ([b"a", b"b"], [b"a"] * 4, [b"a", b"b", bytes(3 * MIB)]):
        writer = PackWriter("exact", tmp_path, WRITER)
        with pytest.raises(UsageError, match=item.digest):
            writer.add(item, wrong)
        with pytest.raises(UsageError), PackSpool(tmp_path, WRITER) as spool:
            spool.add("exact", item, wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_source_leaves_nothing_behind(tmp_path: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"x" * 3000
        raise KeyboardInterrupt

    def failing() -> Iterator[bytes]:
        yield b"x"
        raise OSError(5, "the checkpoint's disk")

    def write(payloads: Iterator[bytes]) -> None:
        with PackSpool(tmp_path, WRITER, target_bytes=100) as spool:
            spool.add("whole", tensor("first", 5), [b"x" * 300])
            spool.add("whole", tensor("one", 2 * MIB), payloads)

    with pytest.raises(KeyboardInterrupt):
        write(source())
    with pytest.raises(OSError, match="the checkpoint's disk"):
        write(failing())
    assert list(tmp_path.iterdir()) == []


def test_spools_roll_and_split(tmp_path: Path, memory: MemoryBackend) -> None:
    items = [tensor("large", 7 * MIB), tensor("a", 100), tensor("b", 100), tensor("c", 100)]
    with PackSpool(tmp_path, WRITER, target_bytes=4 * MIB) as spool:
        early: list[SpooledPack] = []
        for item in items:
            spool.add("exact", item, payloads_of(item, min(900_000, 60 * item.raw_length)))
            early += spool.take()
        spool.add("preview", items[1], payloads_of(items[1]))
        assert spool.bytes_written("preview") > 0
        packs = [*early, *spool.finish()]
        assert spool.bytes_written("exact") == sum(p.size for p in packs if p.pack_class == "exact")
        assert spool.bytes_written("meta") == 0
        for pack in packs:
            publish(memory, pack)
    assert [pack.pack_class for pack in packs].count("preview") == 1
    records = [place.record for pack in packs for place in pack.placements]
    split = [record for record in records if record.digest == items[0].digest]
    assert [(r.first_block, r.block_count) for r in split] == [(0, 2), (2, 2), (4, 2), (6, 1)]
    assert early
    assert list(tmp_path.iterdir()) == []


def test_a_full_class_rolls_on_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltastore.storage.packing.MAX_RECORDS", 3)
    with PackSpool(tmp_path, WRITER) as spool:
        for number in range(7):
            spool.add("exact", tensor(str(number), 4), [b"x"])
        assert [len(pack.placements) for pack in spool.finish()] == [3, 3, 1]


def test_limits_of_a_pack_are_enforced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltastore.storage.packing._MOST_DATA", 1000)
    writer = PackWriter("exact", tmp_path, WRITER)
    writer.add(tensor("a", 4), [b"x" * 900])
    with pytest.raises(UsageError, match="too large"):
        writer.add(tensor("b", 4), [b"x" * 200])
    with pytest.raises(UsageError):
        PackSpool(tmp_path, WRITER, target_bytes=2 << 30)
    with pytest.raises(UsageError):
        PackWriter("meta", tmp_path, "w" * 300).finish()
    assert list(tmp_path.iterdir()) == []


def test_spooled_packs_are_linked_into_a_local_store(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "store")
    with PackSpool(backend.spool_folder, WRITER) as spool:
        spool.add("whole", tensor("one", 50), [b"y" * 99])
        (pack,) = spool.finish()
        inode = pack.path.stat().st_ino
        publish(backend, pack)
    stored = tmp_path / "store" / "packs" / pack.pack[:2] / f"{pack.pack}.safetensors"
    assert stored.stat().st_ino == inode
    assert stored.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert list(PackReader(backend).payloads(pack.placements[0])) == [b"y" * 99]
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_placements_enter_the_chain_at_the_directory(tmp_path: Path, memory: MemoryBackend) -> None:
    pack = one_pack(tmp_path, [tensor("one", 2 * MIB), tensor("two", 2 * MIB)])
    publish(memory, pack)
    one, two = pack.placements
    shifted = Placement(one.pack, one.data_start, two.record)
    assert list(PackReader(memory).payloads(shifted)) == payloads_of(tensor("two", 2 * MIB))
    stale = Placement(one.pack, one.data_start + 64, one.record)
    with pytest.raises(CorruptError, match="directory is damaged"):
        list(PackReader(memory).payloads(stale))
    assert isinstance(one.record.digest, str)
    assert Digest(one.record.digest) in str(one)
