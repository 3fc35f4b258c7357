"""Whatever can be in a record, an index, a locator or a pack comes back as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from deltastore.ids import Digest, bytes_digest
from deltastore.places.ranges import coalesce, scatter
from deltastore.specs import DTYPES
from deltastore.storage.blobs import blob_blocks, blob_payloads, decode_blob_block
from deltastore.storage.index import decode_index, decode_records, encode_index, encode_record
from deltastore.storage.limits import BLOB_BLOCK, align
from deltastore.storage.locators import decode_locator, encode_locator
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packing import PackWriter
from deltastore.storage.packs import PackReader, publish
from deltastore.storage.records import Input, Kind, PackId, Placement, Record, Representation
from deltastore.storage.zstd import compress_symbols, compress_text, decompress

if TYPE_CHECKING:
    from collections.abc import Sequence

digests = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))
codecs = st.from_regex(r"[a-z][a-z0-9_-]{0,20}/[1-9][0-9]{0,3}", fullmatch=True)


@st.composite
def inputs(draw: st.DrawFn, rows: int) -> Input:
    if not rows or draw(st.booleans()):
        return Input(draw(digests))
    first, last = sorted(draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))
    start = draw(st.integers(0, 1 << 40))
    return Input(draw(digests), (start, start + last - first, first, last))


@st.composite
def representations(draw: st.DrawFn, largest: int = 1 << 12) -> Representation:
    kind = draw(st.sampled_from(list(Kind)))
    if kind is not Kind.TENSOR:
        size = draw(st.integers(0, largest * BLOB_BLOCK // 64))
        return Representation(kind, draw(digests), draw(codecs), size, blob_blocks(size))
    dtype = draw(st.sampled_from([name for name in DTYPES if DTYPES[name].bits % 8 == 0]))
    shape = tuple(draw(st.lists(st.integers(0, largest), max_size=3)))
    words = 1
    for size in shape:
        words *= size
    raw = words * DTYPES[dtype].bits // 8
    fewest = -(-raw // (DTYPES[dtype].word_bytes << 20))
    return Representation(
        kind=kind,
        digest=draw(digests),
        codec=draw(codecs),
        raw_length=raw,
        blocks=draw(st.integers(fewest, max(fewest, 2 * fewest - 1))),
        dtype=dtype,
        shape=shape,
        parameters=draw(st.binary(max_size=50)),
        inputs=tuple(draw(st.lists(inputs(shape[0] if shape else 0), max_size=3))),
    )


@st.composite
def records(draw: st.DrawFn, offset: int = 0) -> Record:
    item = draw(representations())
    first = draw(st.integers(0, max(0, item.blocks - 1)))
    count = draw(st.integers(min(1, item.blocks), item.blocks - first)) if item.blocks else 0
    count = min(count, 100_000)
    return Record(
        kind=item.kind,
        digest=item.digest,
        dtype=item.dtype,
        shape=item.shape,
        codec=item.codec,
        parameters=item.parameters,
        inputs=item.inputs,
        raw_length=item.raw_length,
        blocks=item.blocks,
        first_block=first,
        block_count=count,
        offset=offset,
        length=20 * count + draw(st.integers(0, 1 << 24)),
        directory_hash=draw(digests),
    )


@st.composite
def record_lists(draw: st.DrawFn) -> list[Record]:
    found: list[Record] = []
    end = 0
    for _ in range(draw(st.integers(0, 5))):
        record = draw(records(offset=align(end) + 64 * draw(st.integers(0, 3))))
        found.append(record)
        end = record.offset + record.length
    return found


@given(records())
def test_records(record: Record) -> None:
    data = encode_record(record)
    assert decode_records(data, 1) == (record,)
    assert decode_records(data + data, 2) == (record, record)


@given(record_lists())
def test_indexes(found: list[Record]) -> None:
    assert decode_index(encode_index(found)) == tuple(found)
    assert encode_index(found) == encode_index(found)


@given(st.lists(st.tuples(st.integers(0, 3), records()), max_size=6))
def test_locators(found: list[tuple[int, Record]]) -> None:
    packs = [PackId(bytes_digest(bytes([number]))) for number in range(4)]
    placements = tuple(Placement(packs[at], 4096 + 100 * at, record) for at, record in found)
    assert decode_locator(encode_locator(placements)) == placements


@st.composite
def sections(draw: st.DrawFn) -> tuple[Representation, list[bytes]]:
    item = draw(representations(largest=100))
    sizes = st.integers(0, min(3000, item.raw_length))
    return item, [bytes([draw(st.integers(0, 255))]) * draw(sizes) for _ in range(item.blocks)]


@given(st.lists(sections(), max_size=5))
def test_packs(found: Sequence[tuple[Representation, list[bytes]]]) -> None:
    backend = MemoryBackend("memory://property-packs")
    with tempfile.TemporaryDirectory() as folder:
        writer = PackWriter("exact", Path(folder), "test")
        for item, payloads in found:
            writer.add(item, iter(payloads))
        pack = writer.finish()
        publish(backend, pack)
    reader = PackReader(backend)
    placements = reader.index(pack.pack)
    assert [place.record.representation for place in placements] == [item for item, _ in found]
    assert [list(reader.payloads(place)) for place in placements] == [data for _, data in found]
    for place, (_, payloads) in zip(placements, found, strict=True):
        for block, payload in enumerate(payloads):
            assert list(reader.payloads(place, range(block, block + 1))) == [payload]


@given(st.lists(st.binary(max_size=2000), max_size=6))
def test_blob_payloads(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    payloads = list(blob_payloads(pieces))
    assert payloads == list(blob_payloads(content))
    assert len(payloads) == blob_blocks(len(content))
    decoded = [decode_blob_block(payload, len(content), what="test") for payload in payloads]
    assert b"".join(decoded) == content


@given(st.binary(max_size=5000), st.integers(1, 50))
def test_frames(data: bytes, times: int) -> None:
    for compress in (compress_symbols, compress_text):
        assert decompress(compress(data * times), len(data) * times) == data * times


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 400)), max_size=20),
    st.integers(0, 300),
    st.integers(1, 2000),
)
def test_coalesced_ranges(asked: list[tuple[int, int]], gap: int, limit: int) -> None:
    body = bytes(number * 7 % 251 for number in range(6000))
    spans = coalesce(asked, gap=gap, limit=limit)
    found = [body[span.start : span.start + span.length] for span in spans]
    assert scatter(spans, found, asked) == [body[at : at + size] for at, size in asked]
    assert sorted(number for span in spans for number in span.members) == list(range(len(asked)))
    for span in spans:
        assert span.length <= max(limit, *(asked[number][1] for number in span.members))
