"""A small HTTP/1.1 server on the loopback: GET, POST where it is served, keep-alive, JSON."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

LONGEST = 65_536
LENGTH = re.compile(r"^content-length:[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class Answer(Struct, frozen=True):
    """Status, body and headers of a response."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


Handler = Callable[[str, dict[str, str]], Awaitable[Answer]]
PostHandler = Callable[[str, dict[str, str], bytes], Awaitable[Answer]]


class Port:
    """A loopback port that is ours from the start: its number can be told before it opens."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = _bound(0)
        self.number: int = self._socket.getsockname()[1]

    def take(self) -> socket.socket:
        """The bound socket for a server; a new one on the same port once that is closed."""
        taken, self._socket = self._socket or _bound(self.number), None
        return taken

    def close(self) -> None:
        """Give back a port that nobody took."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bound(port: int) -> socket.socket:
    out = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    out.bind(("127.0.0.1", port))
    return out


class HttpServer:
    """Serves GET requests to `handle(path, query)`, POST to `post(path, query, body)`."""

    def __init__(self, handle: Handler, port: Port, post: PostHandler | None = None) -> None:
        self._handle, self._post = handle, post
        self._port = port
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Listen on the loopback. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(
            self._serve, sock=self._port.take(), limit=LONGEST
        )

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer, task in list(self._serving.items()):
            writer.transport.abort()
            if task is not None:
                task.cancel()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving[writer] = asyncio.current_task()
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            # By `stop`: nobody waits for this task, and the library reports what it raises.
            pass
        finally:
            del self._serving[writer]
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays open for more."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, _, rest = head.partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        stays = "connection: close" not in head.lower()
        if method == "GET":
            answer = await self._handle(target.path, query)
        elif method == "POST" and self._post is not None:
            body = await reader.readexactly(_length(head))
            answer = await self._post(target.path, query, body)
        else:
            answer = Answer(b'{"code":-1000,"msg":"method not allowed"}', 405)
            stays = False
        writer.write(_head(answer, stays) + answer.body)
        await writer.drain()
        return stays


def _length(head: str) -> int:
    """Bytes of the body a request announces; raises LimitOverrunError for too many."""
    found = LENGTH.search(head)
    length = int(found[1]) if found else 0
    if length > LONGEST:
        raise asyncio.LimitOverrunError("body too long", 0)
    return length


def _head(answer: Answer, stays: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(answer.body)}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Connection: {'keep-alive' if stays else 'close'}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
