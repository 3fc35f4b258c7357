"""The Tab key, pressed in real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import deltastore
from tests.cli.weights import small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARIES = Path(sys.executable).parent
MODELS = {"me/math": ("prod", "v1"), "meta/llama": (), "meta/llama-chat": ()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of three models, one of them with a branch and a tag more."""
    folder = tmp_path_factory.mktemp("completion")
    write_model(folder / "base", small_model())
    with deltastore.init(folder / "models.ds") as store:
        for model in MODELS:
            store.commit(folder / "base", to=model, message="m", preview=None)
        store.branch("me/math@prod", "me/math")
        store.tag("me/math@v1")
        store.branch("me/math@x;reboot", "me/math")
        store.branch("me/math@$(reboot)", "me/math")
        store.clone("me/math", folder / "work")
    return folder


def environment(place: Path, **more: str) -> dict[str, str]:
    """What an interactive shell of a new user has."""
    return {
        "PATH": f"{BINARIES}:/usr/bin:/bin",
        "HOME": str(place),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "DELTASTORE_STORE": "models.ds",
        **more,
    }


@dataclass
class Typist:
    """Somebody at a terminal.

    Attributes:
        master: our end of it.
        log: where the shell writes the line that stands, when `shown` asks.
    """

    master: int
    log: Path

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read(self, seconds: float = 0.05) -> bytes:
        """What the terminal shows next."""
        ready = select.select([self.master], [], [], seconds)[0]
        return os.read(self.master, 65536) if ready else b""

    def line_after(self, keys: str, show: str) -> str:
        """The line that stands after some keys; the key `show` makes the shell write it down."""
        self.log.unlink(missing_ok=True)
        self.type(keys)
        self.type(show)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.read()
            if self.log.exists() and self.log.read_text().endswith("\n"):
                return self.log.read_text().rstrip("\n")
        pytest.fail(f"no line was shown after {keys!r}")


@contextmanager
def at_a_shell(command: list[str], place: Path, variables: dict[str, str]) -> Iterator[Typist]:
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        command, cwd=place, env=variables, stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        yield Typist(master, place / "shown.txt")
    finally:
        process.kill()
        process.wait()
        os.close(master)


BASHRC = """
PS1='> '
eval "$(deltastore completion bash)"
bind 'set bell-style none' 'set completion-query-items 0'
bind '"\\C-t": insert-completions'
bind -x '"\\C-g": printf "%s\\n" "$READLINE_LINE" > shown.txt'
"""

LINES = {
    "deltastore chec\t": "deltastore checkout ",
    "deltastore log --gr\t": "deltastore log --graph ",
    "deltastore log me/\t": "deltastore log me/math",
    "deltastore log meta/llama-\t": "deltastore log meta/llama-chat ",
    "deltastore log me/math@v\t": "deltastore log me/math@v1 ",
    "deltastore log me/math@\x14": "deltastore log me/math@main @prod @v1 ",
    "deltastore -s models.ds log me/math@pr\t": "deltastore -s models.ds log me/math@prod ",
    "deltastore log -s nowhere me/math@pr\t": "deltastore log -s nowhere me/math@pr",
    "deltastore tag me/math@\t": "deltastore tag me/math@v1 ",
    "deltastore commit base --to me/math@p\t": "deltastore commit base --to me/math@prod ",
    "deltastore commit base --base=me/math@v\t": "deltastore commit base --base=me/math@v1 ",
    "deltastore commit ba\t": "deltastore commit base/",
    "deltastore diff ./ba\t": "deltastore diff ./base/",
    "deltastore config th\t": "deltastore config threads ",
    "deltastore config progress pl\t": "deltastore config progress plain ",
    "deltastore show me/math:co\t": "deltastore show me/math:config.json ",
    "true | deltastore show meta/llama-\t": "true | deltastore show meta/llama-chat ",
    "X=1 deltastore show 'me/math@v\t": "X=1 deltastore show 'me/math@v1' ",
    "deltastore nonsense me/\t": "deltastore nonsense me/",
}


@pytest.fixture(scope="module")
def bash(place: Path) -> Iterator[Typist]:
    (place / ".shellrc").write_text(BASHRC)
    with at_a_shell(
        ["bash", "--noprofile", "--rcfile", ".shellrc", "-i"],
        place,
        environment(place, INPUTRC="/dev/null"),
    ) as typist:
        yield typist


ZSHRC = """
PS1='> '
autoload -Uz compinit && compinit -u -d .zcompdump
eval "$(deltastore completion zsh)"
setopt no_beep no_list_beep no_menu_complete no_auto_menu no_always_last_prompt
show() { print -r -- "$BUFFER" > shown.txt }
zle -N show
bindkey '^g' show
bindkey '^a' beginning-of-line
bindkey '^k' kill-line
"""


@pytest.fixture(scope="module")
def zsh(place: Path) -> Iterator[Typist]:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    (place / ".zshrc").write_text(ZSHRC)
    with at_a_shell(["zsh", "-i"], place, environment(place, ZDOTDIR=str(place))) as typist:
        yield typist


@pytest.mark.parametrize(
    ("keys", "line"),
    {
        "deltastore chec\t": "deltastore checkout ",
        "deltastore log --gr\t": "deltastore log --graph ",
        "deltastore log meta/llama-\t": "deltastore log meta/llama-chat ",
        "deltastore log me/math@v\t": "deltastore log me/math@v1 ",
        "deltastore commit base --to me/math@p\t": "deltastore commit base --to me/math@prod ",
        "deltastore commit ba\t": "deltastore commit base/",
        "deltastore show me/math:co\t": "deltastore show me/math:config.json ",
    }.items(),
)
def test_zsh(keys: str, line: str, zsh: Typist) -> None:
    assert zsh.line_after(f"\x01\x0b{keys}", "\x07").strip("/ ") == line.strip("/ ")


@pytest.mark.parametrize(
    ("line", "found"),
    {
        "deltastore chec": ["checkout"],
        "deltastore log --gr": ["--graph"],
        "deltastore log meta/": ["meta/llama", "meta/llama-chat"],
        "deltastore log me/math@": ["me/math@main", "me/math@prod", "me/math@v1"],
        "deltastore commit ba": ["base/"],
        "deltastore show me/math:co": ["me/math:config.json"],
    }.items(),
)
def test_fish(line: str, found: list[str], place: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    loaded = subprocess.run(
        ["fish", "--no-config", "-c", f"deltastore completion fish | source; complete -C '{line}'"],
        cwd=place, env=environment(place), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [answer.partition("\t")[0] for answer in loaded.stdout.splitlines()] == found
    assert loaded.stderr == ""


def answered(place: Path, line: str, **variables: str) -> tuple[list[str], float, float]:
    """What bash is answered, the processor's seconds it takes, and the wall's."""
    before, began = os.times(), time.monotonic()
    ran = subprocess.run(
        [str(BINARIES / "deltastore")], cwd=place, capture_output=True, text=True, check=False,
        env=environment(
            place, _DELTASTORE_COMPLETE="bash_complete", COMP_LINE=line, COMP_WORDBREAKS=" ",
            **variables,
        ),
    )  # fmt: skip
    after = os.times()
    assert ran.stderr == ""
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return ran.stdout.split(), used, time.monotonic() - began


def test_an_answer_takes_a_blink(place: Path) -> None:
    answers = [answered(place, "deltastore log me/ma") for _ in range(3)]
    assert answers[0][0] == [
        "plain,me/math",
        *(f"plain,me/math@{n}" for n in ("main", "prod", "v1")),
    ]
    assert min(used for _, used, _ in answers) < 0.3


@pytest.mark.parametrize(
    ("line", "found"),
    {
        "deltastore switch p": ["plain,prod"],
        "deltastore log @v": ["plain,@v1"],
        "deltastore commit --to @": ["plain,@main", "plain,@prod"],
        "deltastore log me/math@v": ["plain,me/math@v1"],
        "deltastore restore con": ["file,con"],
    }.items(),
)
def test_in_a_workspace(line: str, found: list[str], place: Path) -> None:
    assert answered(place / "work", line, DELTASTORE_STORE="")[0] == found
    if "me/math" not in line and "restore" not in line:
        assert answered(place, line)[0] == []


BROKEN = {
    "no store": {"DELTASTORE_STORE": "nowhere"},
    "none chosen": {"DELTASTORE_STORE": ""},
    "a store in memory": {"DELTASTORE_STORE": "memory://x"},
    "a password": {"DELTASTORE_STORE": "s3://key:secret@bucket/x"},
    "an unknown scheme": {"DELTASTORE_STORE": "nonsense://x"},
    "a wrong setting": {"DELTASTORE_THREADS": "lots"},
    "a wrong instruction": {"_DELTASTORE_COMPLETE": "csh_complete"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_failures_are_silent(case: str, place: Path) -> None:
    variables = environment(
        place, _DELTASTORE_COMPLETE="bash_complete", COMP_LINE="deltastore log me/",
    ) | BROKEN[case]  # fmt: skip
    ran = subprocess.run(
        [str(BINARIES / "deltastore")], cwd=place, env=variables, capture_output=True, check=False
    )
    assert (ran.stdout.strip(), ran.stderr) == (b"", b"")


def test_a_damaged_store_is_silent(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "models.ds", tmp_path / "broken.ds")
    for entry in (tmp_path / "broken.ds" / "log").iterdir():
        entry.chmod(0o644)
        entry.write_bytes(b"nonsense")
    assert answered(place, f"deltastore -s {tmp_path}/broken.ds log me/")[0] == []


def test_a_distant_store_has_a_second_to_answer(place: Path) -> None:
    """Somebody takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        found, _, seconds = answered(
            place,
            "deltastore log me/",
            DELTASTORE_STORE="s3://bucket/x",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{deaf.getsockname()[1]}",
            AWS_ACCESS_KEY_ID="nobody",
            AWS_SECRET_ACCESS_KEY="nothing",  # noqa: S106  # nobody's
        )
    assert found == []
    assert 1 <= seconds < 10


@pytest.mark.parametrize("keys", LINES)
def test_bash(keys: str, bash: Typist) -> None:
    assert bash.line_after(f"\x01\x0b{keys}", "\x07") == LINES[keys]
