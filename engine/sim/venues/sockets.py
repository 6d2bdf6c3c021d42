"""Clients of a simulated venue: who subscribed to what, and sending it to them."""

from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from engine.sim.venues.faults import Message

BACKLOG = 2**24  # bytes a client may leave unread before it is cut, as venues do


class Client:
    """One connection: the `route` it is on, `target` of its request, `streams` it asked for.

    `silent`: hears no stream; `frozen`: nothing at all; `retold`: hears the last of each stream
    again when it subscribes; `combined`: wants the `/stream` envelope. A subclass says how bytes
    get to it.
    """

    def __init__(self, route: str, target: str) -> None:
        self.route, self.target = route, target
        self.streams: set[str] = set()
        self.silent = self.frozen = self.retold = self.combined = False

    @property
    def open(self) -> bool:
        """Whether it can be written to."""
        raise NotImplementedError

    def write(self, frames: Sequence[bytes]) -> None:
        """Send frames in one go."""
        raise NotImplementedError

    def cut(self) -> None:
        """Break the connection without a goodbye."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Leave the line half open: nothing is sent or read any more, nor is it closed."""
        self.silent = self.frozen = True

    def send(self, messages: Sequence[Message]) -> int:
        """Write what it subscribed to in one go; returns how many messages that were."""
        if self.silent or not self.open:
            return 0
        wanted = self.streams
        if self.combined:
            frames = [wrap(stream, data) for stream, data in messages if stream in wanted]
        else:
            frames = [data for stream, data in messages if stream in wanted]
        if frames:
            self.write(frames)
        return len(frames)

    def reply(self, data: bytes) -> int:
        """An answer to a command; returns how many messages that were."""
        if self.frozen or not self.open:
            return 0
        self.write([data])
        return 1


class SocketClient(Client):
    """A client on a websocket.

    A slow one's frames pile up in its transport, until there are too many of them.
    """

    def __init__(self, socket: ServerConnection, route: str, target: str) -> None:
        super().__init__(route, target)
        self.socket = socket

    @property
    def open(self) -> bool:
        # A socket that was cut is told so a turn of the loop later.
        closing = self.socket.transport.is_closing()
        return self.socket.protocol.state is State.OPEN and not closing

    def write(self, frames: Sequence[bytes]) -> None:
        # One write a tick instead of one a message: the library's own send makes a system call
        # for each.
        protocol, transport = self.socket.protocol, self.socket.transport
        for data in frames:
            protocol.send_text(data)
        if pending := protocol.data_to_send():
            transport.writelines(pending)
            if transport.get_write_buffer_size() > BACKLOG:
                self.cut()

    def cut(self) -> None:
        self.socket.transport.abort()

    def freeze(self) -> None:
        super().freeze()
        self.socket.transport.pause_reading()


def wrap(stream: str, data: bytes) -> bytes:
    """The `/stream` envelope."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), data)
