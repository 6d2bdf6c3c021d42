"""A feed is its module and its config line, nothing else: the registry is the folder."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from websockets.asyncio.server import ServerConnection, serve

import engine.feeds as folder
from engine.clock import NS, WallClock
from engine.config import ConfigError, default_path, load
from engine.feeds.feed import _PLUMBING as PLUMBING
from engine.feeds.feed import Context, DecodeError, build_feed, feed_names
from engine.instruments import Instrument
from engine.jobs.decode import decode
from engine.runtime import Engine
from engine.sim.venues.base import venue_names

NAME = "kraken"
HERE = Path(__file__).parent / "twelfth"
PAST = {"feed": "trade_snapshot", "product_id": "PF_XBTUSD", "trades": [
    {"product_id": "PF_XBTUSD", "side": "buy", "type": "fill", "seq": n, "time": 1_795_000_000_000,
     "qty": 0.1, "price": 90_000 + n, "uid": f"old-{n}"} for n in (2, 1)]}  # fmt: skip
TRADE = {"feed": "trade", "product_id": "PF_XBTUSD", "side": "sell", "type": "fill", "seq": 3,
         "time": 1_795_000_000_500, "qty": 0.25, "price": 91_000.5, "uid": "new-3"}  # fmt: skip
FOREIGN = {**TRADE, "product_id": "PF_TSLAUSD", "uid": "x"}


def modules() -> set[str]:
    """What lies in the folder of the feeds, read from the disk."""
    (place,) = folder.__path__
    files = {p.stem for p in Path(place).glob("*.py")} - {"__init__"}
    return files | {p.parent.name for p in Path(place).glob("*/__init__.py")}


def test_registry_folder_config_and_simulated_venues_are_the_same_eleven():
    written = yaml.safe_load(default_path().read_text(encoding="utf-8"))["feeds"]
    assert len(feed_names()) == 11
    assert set(feed_names()) == modules() - PLUMBING == set(written) == set(load()[0].feeds)
    assert set(feed_names()) == set(venue_names())
    assert modules() >= PLUMBING


@pytest.fixture
def twelfth(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more module in the folder of the feeds."""
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(HERE)])


@pytest.mark.usefixtures("twelfth")
class TestTwelfth:
    async def test_it_runs_from_its_socket_into_the_market(self, tmp_path, kraken):
        path = tmp_path / "config.yaml"
        off = {name: {"enabled": False} for name in load()[0].feeds}
        line = {"urls": {"ws": kraken.url}, "streams": ["trade"]}
        path.write_text(yaml.safe_dump({"feeds": {**off, NAME: line}}), encoding="utf-8")
        config, _ = load(path, known_feeds=feed_names())
        engine = Engine(config, clock=WallClock())
        running = asyncio.create_task(engine.run())
        listed = engine.pipeline.market.listed
        async with asyncio.timeout(20):
            while (NAME, "BTCUSDT") not in listed or listed[NAME, "BTCUSDT"].last is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        health = engine.latest().feeds[NAME]
        engine.stop()
        await running
        trade = listed[NAME, "BTCUSDT"].last
        assert (trade.price, trade.size, trade.side, trade.id) == (91_000.5, 0.25, "sell", "new-3")
        assert trade.ts == 1_795_000_000_500 * NS // 1000
        assert listed[NAME, "BTCUSDT"].prints == 1, "the snapshot is history"
        assert engine.pipeline.market.drops["history trade"] == 2
        assert health.dropped_by_reason == {"not a linear perpetual": 1}
        assert (list(engine.pipeline.feeds), health.streams["trade"].total) == (
            [NAME], len(config.symbols)
        )  # fmt: skip
        assert [frame["feed"] for frame in kraken.asked] == ["heartbeat", "trade"]
        assert "PF_XBTUSD" in kraken.asked[1]["product_ids"]

    def test_it_is_known_by_name_everywhere(self, tmp_path):
        assert set(feed_names()) == {*load()[0].feeds, NAME}
        lines = tmp_path / "in.log"
        lines.write_text("".join(f"{n} {json.dumps(f)}\n" for n, f in enumerate((PAST, TRADE), 1)))
        config, _ = load(
            overrides={"feeds": {NAME: {"urls": {"ws": "wss://x"}}}}, known_feeds=feed_names()
        )
        out = io.BytesIO()
        assert decode(NAME, lines, out, config).events == {"trade": 3}
        rows = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [(row["id"], row.get("history", False)) for row in rows] == [
            ("old-1", True), ("old-2", True), ("new-3", False)
        ]  # fmt: skip

    def test_its_mistakes_are_told_as_those_of_the_others(self):
        config, _ = load(
            overrides={"feeds": {NAME: {"urls": {"ws": "wss://x"}}}}, known_feeds=feed_names()
        )
        made = build_feed(NAME, config.feeds[NAME], [Instrument("BTCUSDT", "x")])
        for frame, reason in ((FOREIGN, "not a linear perpetual"), ({}, "unknown feed")):
            with pytest.raises(DecodeError, match=reason):
                made.decode(json.dumps(frame), Context(recv=1))
        with pytest.raises(ConfigError, match=r"feeds\.krakn: no such key"):
            load(overrides={"feeds": {"krakn": {"urls": {}}}}, known_feeds=feed_names())


class Server:
    """Acknowledges, replays the past, then trades: a foreign contract and ours."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.url = ""

    async def talk(self, socket: ServerConnection) -> None:
        await socket.send('{"event":"info","version":1}')
        async for text in socket:
            command = json.loads(text)
            self.asked.append(command)
            await socket.send(json.dumps({**command, "event": "subscribed"}))
            if command["feed"] == "trade":
                for frame in (PAST, FOREIGN, TRADE):
                    await socket.send(json.dumps(frame))


@pytest.fixture
async def kraken() -> AsyncIterator[Server]:
    server = Server()
    async with serve(server.talk, "127.0.0.1", 0) as listening:
        server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with suppress(asyncio.CancelledError):
            yield server
