"""Reading the score matrix: closed chunks of a symbol and the step rows of the one under way."""

import sqlite3
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.store import codec
from engine.store.records import Bytes, Version
from engine.store.upkeep import CHUNK

Series = tuple[NDArray[np.int64], Bytes]


class Matrix:
    """The matrix of an open history; `damaged` counts chunks that could not be read."""

    def __init__(self, connection: sqlite3.Connection, version: Callable[[int], Version]) -> None:
        self.damaged = 0
        self._connection = connection
        self._version = version
        self._places: dict[int, tuple[dict[str, int], dict[str, int], dict[str, int]]] = {}
        # The chunk read last, as steps come one after the other: its key, times, (T, M, C, S).
        self._chunk: tuple[tuple[int, int, int], NDArray[np.int64], Bytes] | None = None

    def series(self, symbol: tuple[int, str], mode: str, card: str, start: int, end: int) -> Series:
        """One card's scores, start <= ts < end, what was written last for an instant."""
        parts = list(self._closed(symbol, mode, card, start, end))
        parts += self._open(symbol[1], mode, card, start, end)
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.int8)
        times = np.concatenate([part[0] for part in parts])
        scores = np.concatenate([part[1] for part in parts])
        # Reversed, because unique keeps the first of equal instants.
        times, places = np.unique(times[::-1], return_index=True)
        wanted = (times >= start) & (times < end)
        return times[wanted], scores[::-1][places][wanted]

    def step(self, symbol: tuple[int, str], mode: str, ts: int) -> Bytes | None:
        """All cards (C,) of one step; None when it is not kept."""
        row = self._connection.execute(
            "SELECT version, data FROM score_steps WHERE ts = ?", (ts,)
        ).fetchone()
        if row is not None:
            return self._of_step(row[0], row[1], symbol[1], mode)
        for version, steps, times, data in self._chunks(symbol[0], ts, ts + 1, newest_first=True):
            found = self._of_chunk(version, steps, times, data, mode, ts)
            if found is not None:
                return found
        return None

    def whole(self, mode: str, ts: int, version: int) -> Bytes | None:
        """All cards of all symbols (C, S) of one step, made under that version."""
        modes, cards, symbols = self._index(version)
        if mode not in modes:
            return None
        row = self._connection.execute(
            "SELECT data FROM score_steps WHERE ts = ? AND version = ?", (ts, version)
        ).fetchone()
        if row is not None:
            shape = len(modes), len(cards), len(symbols)
            matrix = np.frombuffer(row[0], np.int8).reshape(shape)
            wanted: Bytes = matrix[modes[mode]]
            return wanted
        rows = self._connection.execute(
            "SELECT id, first, last, steps, times FROM score_chunks WHERE version = ? "
            "AND last >= ? AND last < ? AND first <= ? ORDER BY id DESC",
            (version, ts, ts + CHUNK, ts),
        )
        for id, first, last, steps, times in rows.fetchall():
            try:
                found, block = self._block((id, first, last), version, steps, times)
            except codec.CodecError:
                self.damaged += 1
                continue
            if len(place := np.flatnonzero(found == ts)):
                return np.ascontiguousarray(block[place[-1], modes[mode]])
        return None

    def _block(
        self, key: tuple[int, int, int], version: int, steps: int, times: bytes
    ) -> tuple[NDArray[np.int64], Bytes]:
        """A chunk's times and steps (T, M, C, S); raises CodecError."""
        if self._chunk is None or self._chunk[0] != key:
            modes, cards, symbols = self._index(version)
            block = np.full((steps, len(modes), len(cards), len(symbols)), -128, np.int8)
            rows = self._connection.execute(
                "SELECT s.name, data FROM score_series JOIN symbols s ON s.id = symbol "
                "WHERE chunk = ?", (key[0],)
            )  # fmt: skip
            for name, data in rows:
                series = codec.unpack_chunk(data, steps)
                block[..., symbols[name]] = series.reshape(block.shape[:3])
            self._chunk = key, codec.unpack_times(times), block
        return self._chunk[1], self._chunk[2]

    def _closed(
        self, symbol: tuple[int, str], mode: str, card: str, start: int, end: int
    ) -> Iterator[Series]:
        for version, steps, times, data in self._chunks(symbol[0], start, end):
            modes, cards, _ = self._index(version)
            if mode in modes and card in cards:
                place = modes[mode] * len(cards) + cards[card]
                try:
                    yield codec.unpack_times(times), codec.unpack_series(data, steps, place)
                except codec.CodecError:
                    self.damaged += 1

    def _open(self, symbol: str, mode: str, card: str, start: int, end: int) -> Iterator[Series]:
        rows = self._connection.execute(
            "SELECT ts, version, data FROM score_steps WHERE ts >= ? AND ts < ?", (start, end)
        )
        for ts, version, data in rows:
            cards = self._index(version)[1]
            scores = self._of_step(version, data, symbol, mode)
            if scores is not None and card in cards:
                place = cards[card]
                yield np.array([ts], np.int64), scores[place : place + 1]

    def _chunks(
        self, symbol: int, start: int, end: int, newest_first: bool = False
    ) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Chunks that touch a stretch: version, number of steps, times, data."""
        order = "DESC" if newest_first else ""
        yield from self._connection.execute(
            "SELECT c.version, c.steps, c.times, s.data FROM score_chunks c "
            "CROSS JOIN score_series s ON s.chunk = c.id AND s.symbol = ? "
            f"WHERE c.last >= ? AND c.last < ? AND c.first < ? ORDER BY c.id {order}",
            (symbol, start, end + CHUNK, end),
        )

    def _of_step(self, version: int, data: bytes, symbol: str, mode: str) -> Bytes | None:
        modes, cards, symbols = self._index(version)
        if symbol not in symbols or mode not in modes:
            return None
        matrix = np.frombuffer(data, np.int8).reshape(len(modes), len(cards), len(symbols))
        return matrix[modes[mode], :, symbols[symbol]]

    def _of_chunk(
        self, version: int, steps: int, times: bytes, data: bytes, mode: str, ts: int
    ) -> Bytes | None:
        modes, cards, _ = self._index(version)
        try:
            place = np.flatnonzero(codec.unpack_times(times) == ts)
            if mode not in modes or not len(place):
                return None
            block = codec.unpack_chunk(data, steps)
        except codec.CodecError:
            self.damaged += 1
            return None
        first = modes[mode] * len(cards)
        return block[place[-1], first : first + len(cards)]

    def _index(self, version: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Places of modes, cards and symbols in a version's matrix."""
        if version not in self._places:
            catalogue = self._version(version).catalogue
            names = (catalogue.modes, (c.id for c in catalogue.cards), catalogue.symbols)
            modes, cards, symbols = ({name: n for n, name in enumerate(group)} for group in names)
            self._places[version] = modes, cards, symbols
        return self._places[version]
