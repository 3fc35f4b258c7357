"""Text that every machine with CPython has: the standard library's own sources, taken apart."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SKIPPED = frozenset(
    {"test", "tests", "idlelib", "idle_test", "lib2to3", "site-packages", "dist-packages"}
)
SHORTEST_BODY = 60  # characters
SHORTEST_PASSAGE = 4  # words
KINDS = ("code", "comment", "documentation", "error message")


@dataclass(frozen=True)
class Function:
    """The body of a function, without signature and docstring.

    Attributes:
        module: Its dotted module.
        name: Its bare name.
        body: Source lines.
    """

    module: str
    name: str
    body: str


@dataclass(frozen=True)
class Passage:
    """A piece of a source file on one line.

    Attributes:
        module: Its dotted module.
        kind: One of `KINDS`.
        text: Without comment marks, quotes and repeated spaces.
    """

    module: str
    kind: str
    text: str


@dataclass(frozen=True)
class Source:
    """One parsed module of the library."""

    module: str
    lines: tuple[str, ...]
    tree: ast.Module


def library_root() -> Path:
    """Return the folder of the running Python's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def library_files(root: Path) -> list[Path]:
    """Return the library's Python files in a fixed order, without tests and installed packages."""
    return sorted(p for p in root.rglob("*.py") if not SKIPPED.intersection(_parts(p, root)))


def library_fingerprint(root: Path) -> str:
    """Return a SHA-256 that changes when a file of the library does."""
    digest = hashlib.sha256()
    for path in library_files(root):
        content = path.read_bytes()
        digest.update(f"{'/'.join(_parts(path, root))}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def read_library(root: Path) -> list[Source]:
    """Parse every file of the library that is valid UTF-8 and valid Python."""
    sources = []
    for path in library_files(root):
        try:
            text = path.read_text("utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escape sequences in the library
                tree = ast.parse(text)
        except (SyntaxError, UnicodeDecodeError):
            continue
        module = ".".join(_parts(path.with_suffix(""), root)).removesuffix(".__init__")
        sources.append(Source(module, tuple(text.splitlines()), tree))
    return sources


def functions(sources: Sequence[Source]) -> list[Function]:
    """Return the functions with a body of some length; of equal bodies only the first."""
    found: dict[str, Function] = {}
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = _body(node, source.lines)
                if len(body) >= SHORTEST_BODY:
                    found.setdefault(body, Function(source.module, node.name, body))
    return list(found.values())


def passages(sources: Sequence[Source]) -> list[Passage]:
    """Return comments, docstring paragraphs, error messages and lines of code.

    A text that occurs twice is returned once, with the kind of its first occurrence.
    """
    found: dict[str, Passage] = {}
    for source in sources:
        for kind, text in _kinds_and_texts(source):
            line = " ".join(text.split())
            if len(line.split()) >= SHORTEST_PASSAGE:
                found.setdefault(line, Passage(source.module, kind, line))
    return list(found.values())


def _parts(path: Path, root: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: Sequence[str]) -> str:
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not statements:
        return ""
    return "\n".join(lines[statements[0].lineno - 1 : statements[-1].end_lineno])


def _kinds_and_texts(source: Source) -> Iterator[tuple[str, str]]:
    for text in _comments(source.lines):
        yield "comment", text
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield "documentation", (ast.get_docstring(node) or "").split("\n\n")[0]
        elif isinstance(node, ast.Raise):
            for text in _strings(node):
                yield "error message", text
        elif isinstance(node, ast.Assign | ast.Return | ast.If | ast.For):
            yield "code", source.lines[node.lineno - 1]


def _comments(lines: Sequence[str]) -> Iterator[str]:
    """Yield blocks of whole-line comments, each joined into one text."""
    block: list[str] = []
    for line in [*lines, ""]:
        stripped = line.strip()
        if stripped.startswith("#"):
            block.append(stripped.lstrip("#! "))
        elif block:
            yield " ".join(block)
            block = []


def _strings(node: ast.Raise) -> Iterator[str]:
    if node.exc is not None:
        for part in ast.walk(node.exc):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value
