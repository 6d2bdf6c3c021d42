"""Clients of a simulated venue's sockets: who subscribed to what, and sending it to them."""

from collections.abc import Iterable

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from engine.sim.venues.faults import Message


class Client:
    """One socket; `route` it connected to, `combined` whether it wants the `/stream` envelope."""

    def __init__(self, socket: ServerConnection, route: str, combined: bool) -> None:
        self.socket, self.route, self.combined = socket, route, combined
        self.streams: set[str] = set()
        self.silent = False
        self.sent = 0

    def send(self, messages: Iterable[Message]) -> int:
        """Write what it subscribed to in one go; returns how many messages that were.

        A slow client's frames pile up in its transport, as they would in a venue's kernel.
        """
        protocol = self.socket.protocol
        if protocol.state is not State.OPEN or self.silent:
            return 0
        count, wanted = 0, self.streams
        for stream, data in messages:
            if stream in wanted:
                protocol.send_text(wrap(stream, data) if self.combined else data)
                count += 1
        self._flush()
        self.sent += count
        return count

    def reply(self, data: bytes) -> None:
        """An answer to a command."""
        if self.socket.protocol.state is State.OPEN:
            self.socket.protocol.send_text(data)
            self._flush()
            self.sent += 1

    def cut(self) -> None:
        """Break the connection without a goodbye."""
        self.socket.transport.abort()

    def _flush(self) -> None:
        # One write a tick instead of one a message: the library's own send makes a system call
        # for each.
        if pending := self.socket.protocol.data_to_send():
            self.socket.transport.writelines(pending)


def wrap(stream: str, data: bytes) -> bytes:
    """The `/stream` envelope."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), data)
