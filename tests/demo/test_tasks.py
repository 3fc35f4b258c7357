from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demo.library import functions, library_files, library_fingerprint, passages, read_library
from demo.tasks import is_held_out, kind_examples, package_examples

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''"""A module."""
# A comment of several words
# on two lines.

def f{n}(value):
    """Explain what function {n} does."""
    # inside of function number {n} there is one
    if value is None or value == {n}:
        raise ValueError("the value is {n} too small")
    return [value + {n} for value in range({n})]
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for n in range(60):
        package = tmp_path / f"package{n % 14}"
        package.mkdir(exist_ok=True)
        (package / f"module{n}.py").write_text(SOURCE.format(n=n))
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_left_out.py").write_text(SOURCE.format(n="_left_out"))
    (tmp_path / "no_python.py").write_text("print 'old'")
    (tmp_path / "no_text.py").write_bytes(b"\xff\xfe")
    return tmp_path


def test_functions_come_without_signature_and_docstring(library: Path) -> None:
    found = functions(read_library(library))
    assert len(found) == 60
    assert found[0].name == "f0"
    assert "Explain" not in found[0].body
    assert "def " not in found[0].body


def test_passages_know_their_kind(library: Path) -> None:
    kinds = {passage.text: passage.kind for passage in passages(read_library(library))}
    assert kinds["A comment of several words on two lines."] == "comment"
    assert kinds["Explain what function 7 does."] == "documentation"
    assert kinds["the value is 7 too small"] == "error message"
    assert kinds["return [value + 7 for value in range(7)]"] == "code"


def test_no_text_and_no_module_is_on_both_sides_of_the_kinds(library: Path) -> None:
    found = passages(read_library(library))
    modules = {passage.text: passage.module for passage in found}
    train, test = (kind_examples(found, test=side) for side in (False, True))
    assert train.texts
    assert test.texts
    assert not set(train.texts) & set(test.texts)
    assert not {modules[text] for text in train.texts} & {modules[text] for text in test.texts}


def test_no_text_and_no_name_is_on_both_sides_of_the_packages(library: Path) -> None:
    found = functions(read_library(library))
    names = {function.body: function.name for function in found}
    train, test = (package_examples(found, test=side) for side in (False, True))
    assert len(train.labels) == 12
    assert train.labels == test.labels
    assert not set(train.texts) & set(test.texts)
    assert not {names[text] for text in train.texts} & {names[text] for text in test.texts}
    assert {is_held_out(names[text]) for text in test.texts} == {True}


def test_labels_are_right(library: Path) -> None:
    found = functions(read_library(library))
    packages = {function.body: function.module.split(".")[0] for function in found}
    examples = package_examples(found, test=False)
    for text, right in zip(examples.texts, examples.right, strict=True):
        assert examples.labels[right] == packages[text]


def test_the_same_library_gives_the_same_examples(library: Path) -> None:
    first, second = (passages(read_library(library)) for _ in range(2))
    assert kind_examples(first, test=False) == kind_examples(second, test=False)


def test_the_share_held_out_is_about_a_fifth() -> None:
    share = sum(is_held_out(f"name{n}") for n in range(5000)) / 5000
    assert 0.18 < share < 0.22


def test_the_fingerprint_follows_every_file_that_is_read(library: Path) -> None:
    before = library_fingerprint(library)
    (library / "test" / "test_left_out.py").write_text("changed = 1")
    assert library_fingerprint(library) == before
    library_files(library)[-1].write_text("changed = 1")
    assert library_fingerprint(library) != before
