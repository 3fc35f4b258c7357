"""A proxy on the loopback that lets each HTTP request wait, as a distant service does, and counts.

It does not parse HTTP. On a connection that is not pipelined, bytes from the client after bytes
from the server are the next request; an interim answer (100) is none.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Iterator

__all__ = ["Delays", "delayed"]

PIECE = 1 << 18
INTERIM = b"HTTP/1.1 100"


@dataclass(slots=True)
class Delays:
    """A proxy that runs.

    Attributes:
        port: on the loopback, where it listens.
        requests: that passed it so far.
    """

    port: int = 0
    requests: int = 0


@dataclass(slots=True)
class _Turn:
    """Whether the server has answered what the client sent last."""

    answered: bool = True


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[Delays]:
    """Stand before the server at a port of the loopback, in a thread of this process.

    Args:
        port: of the server.
        seconds: that each request waits before it is passed on.
    """
    delays, ready, ended = Delays(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async def accept(reader: StreamReader, writer: StreamWriter) -> None:
            with suppress(ConnectionError):
                await _connection(reader, writer, port, seconds, delays)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        delays.port = server.sockets[0].getsockname()[1]
        ready.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=_run, args=(loop, serve()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield delays
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, main: object) -> None:
    """Run one task to its end, then drop the connections that are left."""
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main)  # type: ignore[arg-type]  # a coroutine, which has no simple name
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def _connection(
    reader: StreamReader, writer: StreamWriter, port: int, seconds: float, delays: Delays
) -> None:
    answers, requests = await asyncio.open_connection("127.0.0.1", port)
    turn = _Turn()

    async def forward() -> None:
        while data := await reader.read(PIECE):
            if turn.answered:
                turn.answered = False
                delays.requests += 1
                await asyncio.sleep(seconds)
            requests.write(data)
            await requests.drain()
        requests.close()

    async def back() -> None:
        while data := await answers.read(PIECE):
            turn.answered = turn.answered or not data.startswith(INTERIM)
            writer.write(data)
            await writer.drain()
        writer.close()

    await asyncio.gather(forward(), back())
