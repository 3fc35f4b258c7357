"""Who commits: the setting, else git's identity, else user@host."""

from __future__ import annotations

import getpass
import socket
import subprocess

__all__ = ["find_author"]

GIT_TIMEOUT = 5


def find_author() -> tuple[str, str]:
    """The author where no setting names one, and where that was found."""
    git = _git_identity()
    return (git, "git") if git else (f"{_user()}@{socket.gethostname()}", "this machine")


def _git_identity() -> str:
    """`user.name <user.email>`, as far as git knows them."""
    try:
        answer = subprocess.run(
            ["git", "config", "--get-regexp", r"^user\.(name|email)$"],  # noqa: S607  # the user's git
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=GIT_TIMEOUT,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    known = dict(line.split(" ", 1) for line in answer.stdout.splitlines() if " " in line)
    name, email = known.get("user.name", "").strip(), known.get("user.email", "").strip()
    return f"{name} <{email}>" if name and email else name or email


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "unknown"
