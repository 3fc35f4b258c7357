"""Tables for people: nothing is cut in a pipe, nothing is broken that has room."""

from __future__ import annotations

from deltastore_cli.tables import table_text

ROW = ("10", "1 second ago", "Ada <ada@example.org>", "rm")


def test_a_column_with_nothing_in_it_breaks_no_other() -> None:
    headers = ("entry", "when", "who", "what", "")
    assert table_text(headers, [(*ROW, "")]).splitlines() == [
        "  entry  when          who                    what",
        "  10     1 second ago  Ada <ada@example.org>  rm",
    ]


def test_alignment_and_names_follow_the_columns_that_are_left() -> None:
    rows = [("a", "", "1"), ("b", "", "200")]
    assert table_text(("", "", "n"), rows, right=(2,), styles=("", "", "id")) == (
        "       n\n  a    1\n  b  200\n"
    )


def test_an_empty_column_with_a_header_stays() -> None:
    assert table_text(("a", "tags"), [("x", "")]) == "  a  tags\n  x\n"
