"""Venues that number the frames of each connection, whatever their stream."""

from itertools import islice
from typing import Any

from engine.sim.market.market import Tick
from engine.sim.market.tape import Print, Tape
from engine.sim.venues.base import ShadowVenue
from engine.sim.venues.sockets import Client


class NumberedVenue(ShadowVenue):
    """A venue whose frames hold `MARK` where each connection's own number belongs.

    Numbers are given before faults, so that a frame that is left out leaves a gap.
    """

    MARK = b'"sequence_num":0'

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._counts: dict[Client, int] = {}

    def numbered(self, client: Client, data: bytes) -> bytes:
        """A frame with the next number of its connection; the first is 0."""
        number = self._counts.get(client, 0)
        self._counts[client] = number + 1
        return data.replace(self.MARK, self.MARK[:-1] + b"%d" % number, 1)

    def past(self, place: int, most: int) -> list[Print]:
        """The last executions, oldest first; at first the last from before the market began."""
        tape = self.shadow.tapes[place]
        before = self.market.start // 1_000_000 - 1000
        known = list(islice(tape, max(0, len(tape) - most), None))
        return known or [Print(Tape.FIRST - 1, 0, 0, before, self.shadow.last[place], 1, True)]

    def again(self, client: Client, data: bytes) -> bytes:
        return self.numbered(client, data)

    async def publish(self, tick: Tick) -> None:
        """Send a tick's frames as the others do, each client's with numbers of its own."""
        self._calm.clear()
        try:
            messages = self.recent.note(self.frames(tick))
            for client in list(self.clients):
                own = [(s, self.numbered(client, d)) for s, d in messages if s in client.streams]
                spoilt = self.faults.spoil(own)
                sent = 0 if client.route in self.faults.stalled else client.send(spoilt)
                self.expected += sent
                if sent:
                    await self._taken()
            for client in self._counts.keys() - set(self.clients):
                del self._counts[client]
        finally:
            self._calm.set()
