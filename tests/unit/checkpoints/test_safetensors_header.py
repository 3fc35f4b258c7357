"""The header parser and writer; the stock library is the oracle."""

from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING, Any

import pytest
import safetensors
from safetensors import SafetensorError, deserialize

from deltastore.checkpoints.safetensors_header import SafetensorsHeader, parse_header, read_header
from deltastore.checkpoints.state_dicts import serialize_header
from deltastore.errors import InvalidError, NotFoundError
from deltastore.specs import DTYPES, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

_LIBRARY_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "I64": "int64",
    "U64": "uint64",
    "F64": "float64",
    "C64": "complex64",
    "F4": "float4_e2m1fn_x2",
}


def _file(text: str | bytes, data: bytes = b"") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return len(raw).to_bytes(8, "little") + raw + data


def _parse(file: bytes) -> SafetensorsHeader:
    return parse_header(
        file[: 8 + int.from_bytes(file[:8], "little")], file_size=len(file), what="f"
    )


def _tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _library_bytes(specs: list[TensorSpec], metadata: dict[str, str] | None) -> bytes:
    """What the library writes; the tensors hold zeros."""
    buffers = [ctypes.create_string_buffer(max(1, spec.nbytes)) for spec in specs]
    tensors = {
        spec.name: safetensors.TensorSpec(
            dtype=_LIBRARY_NAMES[spec.dtype],
            # of the packed type the library takes the shape of bytes and doubles the last axis
            shape=[*spec.shape[:-1], spec.shape[-1] // 2] if spec.dtype == "F4" else spec.shape,
            data_ptr=ctypes.addressof(buffer),
            data_len=spec.nbytes,
        )
        for spec, buffer in zip(specs, buffers, strict=True)
    }
    return bytes(safetensors.serialize(tensors, metadata))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_dtype_is_sized_as_the_library_sizes_it(dtype: str) -> None:
    """Eight elements take as many bytes as one takes bits, packed types included."""
    size = DTYPES[dtype].bits
    file = _file(json.dumps({"a": _tensor(dtype, [2, 4], 0, size)}), bytes(size))
    assert dict(deserialize(file))["a"]["dtype"] == dtype  # type: ignore[no-untyped-call]
    (entry,) = _parse(file).tensors
    assert (entry.spec, entry.nbytes) == (TensorSpec("a", dtype, (2, 4)), size)


def test_keys_out_of_offset_order_padding_and_metadata_are_kept() -> None:
    document = {
        "z": _tensor("U8", [2], 4, 6),
        "__metadata__": {"format": "pt", "note": "é"},
        "empty": _tensor("F32", [0, 7], 4, 4),
        "a": _tensor("F32", [], 0, 4),
    }
    file = _file(json.dumps(document, indent=1) + " \n\t ", b"abcdef")
    header = _parse(file)
    assert header.raw + b"abcdef" == file
    assert [entry.spec.name for entry in header.tensors] == ["z", "empty", "a"]
    assert [entry.spec.name for entry in header.in_offset_order()] == ["a", "empty", "z"]
    assert header.metadata == {"format": "pt", "note": "é"}
    assert (header.data_start, header.data_size) == (len(file) - 6, 6)
    assert header.file_size == len(file)


@pytest.mark.parametrize("text", ["{}", "{}   ", '{"__metadata__":null}', '{"__metadata__":{}}'])
def test_a_file_without_tensors_is_valid(text: str) -> None:
    header = _parse(_file(text))
    assert (header.tensors, header.data_size, dict(header.metadata)) == ((), 0, {})


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("U8", [1] * 17, 1), ("U8", [0, 2**53 + 1], 0), ("U8", [0, 2**64 - 1], 0)],
)
def test_limits_beyond_the_library_are_refused(dtype: str, shape: list[int], size: int) -> None:
    file = _file(json.dumps({"a": _tensor(dtype, shape, 0, size)}), bytes(size))
    deserialize(file)  # type: ignore[no-untyped-call]
    with pytest.raises(InvalidError, match="f: "):
        _parse(file)


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ({"a": _tensor("U8", [2], 0, 3)}, b"abc", "takes 2 bytes, its offsets span 3"),
        ({"a": _tensor("U9", [1], 0, 1)}, b"a", "unknown dtype 'U9'"),
        ({"a": _tensor("U8", [1], 1, 0)}, b"a", "are no .begin, end."),
        ({"a": _tensor("U8", [1], 1, 2)}, b"ab", "leaves a hole before offset 1"),
        (
            {"a": _tensor("U8", [2], 0, 2), "b": _tensor("U8", [2], 1, 3)},
            b"abc",
            "'b' overlaps another below offset 1",
        ),
        ({"a": _tensor("U8", [1], 0, 1)}, b"ab", "describes 1 bytes of data, the file has 2"),
        ({"a": _tensor("U8", [2], 0, 2)}, b"a", "describes 2 bytes of data, the file has 1"),
        ({"a": _tensor("F4", [3], 0, 1)}, b"a", "do not fill whole bytes"),
        ({"a": {"dtype": "U8", "shape": [1]}}, b"a", "data_offsets is missing"),
        ({"a": None}, b"", "not a JSON object"),
        ({"__metadata__": {"a": 1}}, b"", "does not map names to texts"),
        ([], b"", "not a JSON object"),
    ],
)
def test_a_wrong_header_names_file_tensor_and_reason(
    text: object, data: bytes, reason: str
) -> None:
    file = _file(json.dumps(text), data)
    with pytest.raises(SafetensorError):
        deserialize(file)  # type: ignore[no-untyped-call]
    with pytest.raises(InvalidError, match=reason) as caught:
        _parse(file)
    assert str(caught.value).startswith("f: ")


def test_reading_a_file_gives_what_parsing_gives(tmp_path: Path) -> None:
    specs = [TensorSpec("a", "BF16", (3,)), TensorSpec("b", "F32", ())]
    place = tmp_path / "x.safetensors"
    place.write_bytes(_library_bytes(specs, {"format": "pt"}))
    assert read_header(place) == serialize_header(specs, {"format": "pt"})
    with pytest.raises(NotFoundError, match="absent"):
        read_header(tmp_path / "absent")


def test_a_written_header_is_byte_for_byte_the_library_s() -> None:
    specs = [
        TensorSpec(f"layer.{index}.{dtype}", dtype, (2, index))
        for index in (2, 0, 4)
        for dtype in _LIBRARY_NAMES
    ]
    specs += [TensorSpec('quote " \\ \x01 \u2028 / é 🙂', "F32", ()), TensorSpec("", "U8", (1,))]
    for metadata in (None, {}, {"format": "pt"}, {"\n": "\x7f\x1f\t"}):
        header = serialize_header(specs, metadata)
        library = _library_bytes(specs, metadata)
        assert header.raw + bytes(header.data_size) == library
        assert parse_header(header.raw, file_size=len(library), what="f") == header


def test_packed_six_bit_types_are_written_between_u8_and_f4() -> None:
    """The library's Python part cannot write them; it reads what is written here."""
    dtypes = ("U8", "F6_E3M2", "F6_E2M3", "F4", "BOOL")
    header = serialize_header([TensorSpec(dtype, dtype, (8,)) for dtype in sorted(dtypes)])
    assert tuple(entry.spec.name for entry in header.tensors) == dtypes
    read = deserialize(header.raw + bytes(header.data_size))  # type: ignore[no-untyped-call]
    assert {name for name, _ in read} == set(dtypes)


def test_metadata_is_sorted_where_the_library_shuffles_it() -> None:
    header = serialize_header([], {"b": "2", "a": "1"})
    assert header.raw[8:].rstrip() == b'{"__metadata__":{"a":"1","b":"2"}}'
    assert len(header.raw) % 8 == 0


@pytest.mark.parametrize("names", [["a", "a"], ["__metadata__"], ["\ud800"]])
def test_names_that_a_header_cannot_hold_are_refused(names: list[str]) -> None:
    with pytest.raises(InvalidError):
        serialize_header([TensorSpec(name, "U8", ()) for name in names])
