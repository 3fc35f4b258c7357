"""Whatever strangers write, a notebook gets text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from deltastore.results import CommitInfo, LogResult

TEXT = st.text(
    st.sampled_from("<>&\"'/=! \n\t\0\x1b\u202eabscript-") | st.characters(), max_size=60
)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.names |= {name for name, _ in attrs}

    def handle_comment(self, data: str) -> None:
        self.found.add("comment")

    def handle_decl(self, decl: str) -> None:
        self.found.add("declaration")


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.lists(TEXT, max_size=3))
def test_only_our_own_elements(
    message: str, author: str, remarks: dict[str, str], refs: list[str]
) -> None:
    commit = CommitInfo(
        "0" * 64, (), None, author, "", message, None, (), remarks,
        dict.fromkeys(remarks, 0.5), refs=tuple(refs),
    )  # fmt: skip
    reader = Elements()
    reader.feed(commit._repr_html_() + LogResult((commit,))._repr_html_())
    reader.close()
    assert reader.found <= {"table", "caption", "b", "tr", "th", "td", "code", "br"}
    assert reader.names <= {"style", "title", "colspan"}
