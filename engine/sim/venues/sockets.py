"""Clients of a simulated venue's sockets: who subscribed to what, and sending it to them."""

from collections.abc import Iterable

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from engine.sim.venues.faults import Message

BACKLOG = 2**24  # bytes a client may leave unread before it is cut, as venues do


class Client:
    """One socket; `route` it connected to, `combined` whether it wants the `/stream` envelope."""

    def __init__(self, socket: ServerConnection, route: str, combined: bool) -> None:
        self.socket, self.route, self.combined = socket, route, combined
        self.streams: set[str] = set()
        self.silent = False
        self.sent = 0

    def send(self, messages: Iterable[Message]) -> int:
        """Write what it subscribed to in one go; returns how many messages that were.

        A slow client's frames pile up in its transport, until there are too many of them.
        """
        protocol = self.socket.protocol
        if not self._open or self.silent:
            return 0
        count, wanted = 0, self.streams
        for stream, data in messages:
            if stream in wanted:
                protocol.send_text(wrap(stream, data) if self.combined else data)
                count += 1
        self._flush()
        self.sent += count
        return count

    def reply(self, data: bytes) -> int:
        """An answer to a command; returns how many messages that were."""
        if not self._open:
            return 0
        self.socket.protocol.send_text(data)
        self._flush()
        self.sent += 1
        return 1

    @property
    def _open(self) -> bool:
        # A socket that was cut is told so a turn of the loop later.
        closing = self.socket.transport.is_closing()
        return self.socket.protocol.state is State.OPEN and not closing

    def cut(self) -> None:
        """Break the connection without a goodbye."""
        self.socket.transport.abort()

    def freeze(self) -> None:
        """Leave the line half open: nothing is sent or read any more, nor is it closed."""
        self.silent = True
        self.socket.transport.pause_reading()

    def _flush(self) -> None:
        # One write a tick instead of one a message: the library's own send makes a system call
        # for each.
        if pending := self.socket.protocol.data_to_send():
            self.socket.transport.writelines(pending)
            if self.socket.transport.get_write_buffer_size() > BACKLOG:
                self.cut()


def wrap(stream: str, data: bytes) -> bytes:
    """The `/stream` envelope."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), data)
