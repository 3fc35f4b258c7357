"""A version's weights changed on the way out: a selection, another dtype, other shards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.checkpoints.state_dicts import serialize_header
from deltastore.errors import ExistsError, InvalidError, UsageError
from deltastore.materialize.files import FIDELITY_KEY, Written
from deltastore.materialize.state_dicts import raw_arrays, torch_tensor
from deltastore.specs import DTYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from deltastore.checkpoints.destinations import Destination, Sink
    from deltastore.checkpoints.safetensors_header import SafetensorsHeader
    from deltastore.history.manifests import ManifestFile
    from deltastore.materialize.tensors import Bytes, TensorReader, Wanted
    from deltastore.materialize.versions import Version

__all__ = ["Form", "export", "export_dtype"]

DEFAULT_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

_ALIASES = {
    "float16": "F16", "fp16": "F16", "half": "F16", "bfloat16": "BF16", "bf16": "BF16",
    "float32": "F32", "fp32": "F32", "float": "F32", "float64": "F64", "fp64": "F64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How exported weights are written.

    Attributes:
        dtype: float tensors are rounded to it, to nearest even; others stay.
        max_shard_bytes: most bytes of tensors in a file; one larger tensor has its own.
        preview: these are previews, and the files will say so.
    """

    dtype: str | None = None
    max_shard_bytes: int | None = None
    preview: bool = False


def export_dtype(name: str) -> str:
    """The safetensors name of a float dtype that people may write in other ways.

    Raises:
        UsageError: no float dtype that weights can be converted to.
    """
    dtype = _ALIASES.get(name.lower(), name.upper())
    if dtype not in ("F16", "BF16", "F32", "F64"):
        raise UsageError(
            f"cannot export as {name!r}", hint="one of: float16, bfloat16, float32, float64"
        )
    return dtype


def export(
    version: Version,
    wanted: Mapping[str, Wanted],
    folder: Destination,
    reader: TensorReader,
    form: Form,
    *,
    file: str | None = None,
    report: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> Written:
    """Write tensors to one safetensors file, or to a folder with the version's other files.

    Args:
        version: to read from.
        wanted: tensors by name.
        folder: gets the weights as `model.safetensors`, or as shards with an index.
        reader: of the version's tensors.
        form: dtype, shards, and what to say of the fidelity.
        file: name of the only file to write, without shards and other files; None for all of them.
        report: called with "export", bytes done and bytes in all.

    Raises:
        ExistsError: something is there already; nothing was written.
    """
    specs = [_converted(item.spec, form.dtype) for item in wanted.values()]
    shards = _shards(specs, None if file else form.max_shard_bytes)
    names = [file] if file else _shard_names(len(shards))
    others = [] if file else _other_files(version)
    _refuse_taken(folder, names if file else [*names, INDEX_NAME, *(f.path for f in others)])
    metadata = {"format": "pt"} | ({FIDELITY_KEY: "preview"} if form.preview else {})
    headers = [serialize_header(shard, metadata) for shard in shards]
    blobs = [(other.path, other.blob) for other in others if other.blob]
    index = _index(names, shards) if len(shards) > 1 else b""
    whole = sum(h.file_size for h in headers) + sum(f.size for f in others) + len(index)
    with folder.sink() as sink:
        out = _Out(sink, lambda done: report("export", done, whole))
        for name, header in zip(names, headers, strict=True):
            out.write(name, _shard_chunks(header, wanted, reader))
        if index:
            out.write(INDEX_NAME, [index])
        for path, blob in blobs:
            out.write(path, version.blob(blob))
    return Written(out.files, out.bytes, 0)


def _refuse_taken(folder: Destination, names: Iterable[str]) -> None:
    taken = next((name for name in names if folder.size(name) is not None), None)
    if taken is not None:
        raise ExistsError(f"{folder.name} holds {taken} already", hint="export into another folder")


class _Out:
    """Files written so far, and their bytes, which are reported as they come."""

    def __init__(self, sink: Sink, report: Callable[[int], None]) -> None:
        self.files = self.bytes = 0
        self._sink = sink
        self._report = report

    def write(self, path: str, chunks: Iterable[bytes | memoryview]) -> None:
        with self._sink.open(path) as writer:
            for chunk in chunks:
                writer.write(chunk)
                self.bytes += len(chunk)
                self._report(self.bytes)
            writer.finish(None)
        self.files += 1


def _converted(spec: TensorSpec, dtype: str | None) -> TensorSpec:
    if dtype is None or DTYPES[spec.dtype].kind != "float":
        return spec
    return TensorSpec(spec.name, dtype, spec.shape)


def _shards(specs: Sequence[TensorSpec], most: int | None) -> list[list[TensorSpec]]:
    """Consecutive runs of tensors of at most `most` bytes, at least one tensor each."""
    if most is not None and most <= 0:
        raise UsageError(f"a shard of {most} bytes holds nothing")
    shards: list[list[TensorSpec]] = [[]]
    size = 0
    for spec in specs:
        if most is not None and shards[-1] and size + spec.nbytes > most:
            shards.append([])
            size = 0
        shards[-1].append(spec)
        size += spec.nbytes
    return shards


def _shard_names(count: int) -> list[str]:
    if count == 1:
        return [DEFAULT_NAME]
    return [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)]


def _index(names: Sequence[str], shards: Sequence[Sequence[TensorSpec]]) -> bytes:
    where = {spec.name: name for name, shard in zip(names, shards, strict=True) for spec in shard}
    size = sum(spec.nbytes for shard in shards for spec in shard)
    document = {"metadata": {"total_size": size}, "weight_map": dict(sorted(where.items()))}
    return (json.dumps(document, indent=2) + "\n").encode()


def _other_files(version: Version) -> list[ManifestFile]:
    """Files that are no weights; an index of shards is made anew where there are several."""
    return [
        file
        for file in version.manifest.files
        if file.blob is not None and not file.path.endswith(".safetensors.index.json")
    ]


def _shard_chunks(
    header: SafetensorsHeader, wanted: Mapping[str, Wanted], reader: TensorReader
) -> Iterator[bytes | memoryview]:
    yield header.raw
    specs = [entry.spec for entry in header.in_offset_order()]
    contents = reader.read_many(wanted[spec.name] for spec in specs)
    for spec, content in zip(specs, contents, strict=True):
        yield _convert(content, wanted[spec.name].spec, spec).data


def _convert(content: Bytes, have: TensorSpec, want: TensorSpec) -> Bytes:
    """Round to nearest even, as PyTorch does."""
    if have.dtype == want.dtype:
        return content
    import torch  # noqa: PLC0415 - only conversions need it

    dtypes = {"F16": torch.float16, "BF16": torch.bfloat16}
    dtypes |= {"F32": torch.float32, "F64": torch.float64}
    converted = torch_tensor(content, have).to(dtypes[want.dtype])
    raw = raw_arrays({want.name: converted})[want.name][1]
    if raw.nbytes != want.nbytes:
        raise InvalidError(f"{want.name}: converted to {raw.nbytes} bytes, not {want.nbytes}")
    return raw
