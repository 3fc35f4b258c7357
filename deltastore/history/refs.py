"""Names: models, branches, tags, and how a ref of the log is spelled (format-v1, section 4.1)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from deltastore.errors import InvalidError

__all__ = [
    "DEFAULT_BRANCH",
    "Ref",
    "RefKind",
    "branch_ref",
    "check_model",
    "check_ref_name",
    "incoming_ref",
    "keep_ref",
    "looks_like_commit",
    "parse_ref",
    "refuse_url",
    "tag_ref",
]

RefKind = Literal["branch", "tag", "incoming", "keep"]

DEFAULT_BRANCH = "main"
MAX_NAME_BYTES = 255

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_HEX = re.compile(r"[0-9a-f]{7,}")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\@]")
_FOLDERS: dict[str, RefKind] = {"heads": "branch", "tags": "tag"}


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref, taken apart.

    Attributes:
        kind: a branch moves, a tag does not; the others are roots without a model.
        model: `namespace/name`, empty unless a branch or a tag.
        name: of the branch or tag, or what follows `incoming/` or `keep/`.
    """

    kind: RefKind
    model: str
    name: str

    @property
    def label(self) -> str:
        """As people write it: `namespace/name@branch`; without a model, as the log has it."""
        return f"{self.model}@{self.name}" if self.model else f"{self.kind}/{self.name}"


def check_model(model: str) -> str:
    """`model` itself, if it is `namespace/name` as on the Hub.

    Raises:
        InvalidError: it is not.
    """
    refuse_url(model, "a model name")
    parts = model.split("/")
    if len(parts) != 2 or not all(_PART.fullmatch(part) for part in parts):
        raise InvalidError(
            f"{model!r} is not a model name",
            hint="write namespace/name; each has letters, digits, '.', '_', '-', begins with a "
            "letter or digit, and is at most 96 characters long",
        )
    return model


def check_ref_name(name: str, what: str = "branch") -> str:
    """`name` itself, if git's check-ref-format allows it, without `@`, in at most 255 bytes.

    Args:
        name: of a branch or tag; may contain `/`.
        what: `branch` or `tag`, for errors.

    Raises:
        InvalidError: it breaks a rule; the message says which.
    """
    refuse_url(name, f"a {what} name")
    reason = _fault(name)
    if reason:
        raise InvalidError(
            f"{name!r} is not a {what} name: {reason}",
            hint="the rules are git's (git check-ref-format --branch), without '@'",
        )
    return name


def refuse_url(text: str, wanted: str) -> None:
    """Refuse a URL where a name is wanted, without repeating it: part of it may be a password.

    Raises:
        InvalidError: it is one.
    """
    if "://" in text:
        raise InvalidError(
            f"a URL is not {wanted}", hint="what begins with scheme:// is a place, not a name"
        )


def looks_like_commit(name: str) -> bool:
    """Whether a branch or tag of that name could be taken for an abbreviated commit id."""
    return _HEX.fullmatch(name) is not None


def branch_ref(model: str, name: str = DEFAULT_BRANCH) -> str:
    """The full name of a branch.

    Raises:
        InvalidError: no valid model or branch name.
    """
    return f"models/{check_model(model)}/heads/{check_ref_name(name)}"


def tag_ref(model: str, name: str) -> str:
    """The full name of a tag.

    Raises:
        InvalidError: no valid model or tag name.
    """
    return f"models/{check_model(model)}/tags/{check_ref_name(name, 'tag')}"


def incoming_ref(txn: str) -> str:
    """The root that holds what a long transfer has brought so far."""
    return f"incoming/{txn}"


def keep_ref(name: str) -> str:
    """A root that a person asked for, such as the commit of a checkout."""
    return f"keep/{check_ref_name(name, 'keep')}"


def parse_ref(full: str) -> Ref:
    """Take the full name of a ref apart.

    Raises:
        InvalidError: it is none of the names of format-v1, section 4.1.
    """
    head, _, rest = full.partition("/")
    if head == "incoming":
        return Ref("incoming", "", check_ref_name(rest, "incoming"))
    if head == "keep":
        return Ref("keep", "", check_ref_name(rest, "keep"))
    parts = full.split("/", 4)
    if head != "models" or len(parts) != 5 or parts[3] not in _FOLDERS:
        raise InvalidError(
            f"{full!r} is not a ref",
            hint="refs are models/NAMESPACE/NAME/heads/BRANCH and models/NAMESPACE/NAME/tags/TAG",
        )
    kind = _FOLDERS[parts[3]]
    return Ref(kind, check_model(f"{parts[1]}/{parts[2]}"), check_ref_name(parts[4], kind))


def _fault(name: str) -> str:
    """Which rule `name` breaks, or an empty string."""
    parts = name.split("/")
    rules = (
        (not name, "it is empty"),
        (len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES, "it is longer than 255 bytes"),
        (not unicodedata.is_normalized("NFC", name), "it is not NFC-normalized"),
        (any("\ud800" <= char <= "\udfff" for char in name), "it holds a lone surrogate"),
        (_FORBIDDEN.search(name), "it holds a space, a control character or one of ~^:?*[\\@"),
        ("" in parts, "it begins or ends with '/' or has '//' in it"),
        (any(part.startswith(".") for part in parts), "a part of it begins with '.'"),
        (any(part.endswith(".lock") for part in parts), "a part of it ends with '.lock'"),
        (".." in name, "it holds '..'"),
        (name.endswith("."), "it ends with '.'"),
        (name.startswith("-"), "it begins with '-'"),
        (name == "HEAD", "HEAD is reserved"),
    )
    return next((reason for broken, reason in rules if broken), "")
