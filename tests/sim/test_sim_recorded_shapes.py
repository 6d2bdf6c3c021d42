"""Simulated Coinbase and Hyperliquid beside recorded frames: the same keys and types."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from engine.clock import SimulatedClock
from engine.sim.market import SimulatedMarket
from engine.sim.market.shadow import Reference
from engine.sim.venues.base import Venue, venue_class

WIRE = Path(__file__).parents[3] / "shared" / "wire"
pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]


def shape(value: Any) -> Any:
    """Keys and types, of a list those of its first."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value)


def opened(name: str) -> Venue:
    reference = Reference(SimulatedMarket(("BTCUSDT", "ETHUSDT"), seed=3))
    venue = venue_class(name)(reference, SimulatedClock(reference.market.now))
    venue.ports.close()
    return venue


def sent(venue: Venue, seconds: int) -> dict[str, Any]:
    """The first frame of each stream."""
    out: dict[str, Any] = {}
    for _ in range(10 * seconds):
        for stream, data in venue.frames(venue.reference.tick()):
            out.setdefault(stream, json.loads(data))
    return out


def coinbase() -> tuple[dict[str, Any], dict[str, Any]]:
    """The recorded first update of each channel, and the catalogue's first rows."""
    reader = zstandard.ZstdDecompressor().stream_reader(
        (WIRE / "coinbase" / "COINBASE.jsonl.zst").open("rb"), closefd=True
    )
    found: dict[str, Any] = {}
    catalogue: dict[str, Any] = {}
    with reader:
        for line in reader.read(40_000_000).splitlines():
            row = json.loads(line)
            if row["t"] == "http" and row["url"].endswith("/products"):
                catalogue = json.loads(row["data"])
            if row["t"] == "recv":
                frame = json.loads(row["data"])
                if frame["events"][0].get("type") != "snapshot":
                    found.setdefault(frame["channel"], frame)
            if {"market_trades", "ticker", "heartbeats"} <= found.keys() and catalogue:
                break
    return found, catalogue


def test_coinbase_is_as_recorded() -> None:
    real, catalogue = coinbase()
    venue = opened("coinbase")
    ours = sent(venue, 8)
    for channel, stream in (
        ("market_trades", "market_trades:BTC-USD"),
        ("ticker", "ticker:BTC-USD"),
        ("heartbeats", "heartbeats"),
    ):
        assert shape(ours[stream]) == shape(real[channel])
        assert list(ours[stream]) == list(real[channel])
    body = json.loads(venue.answer("/api/v3/brokerage/market/products", {}, None).body)
    theirs = next(row for row in catalogue["products"] if row["product_id"] == "BTC-USD")
    for key, value in body["products"][0].items():
        assert type(theirs[key]) is type(value), key


def test_hyperliquid_is_as_recorded() -> None:
    real: dict[str, Any] = {}
    with gzip.open(WIRE / "hyperliquid" / "btcusd_20250126.gz") as lines:
        for line in lines:
            frame = json.loads(line.split(b" ", 1)[1])
            real.setdefault(frame["channel"], frame)
    ours = sent(opened("hyperliquid"), 8)
    for channel in ("l2Book", "trades"):
        assert shape(ours[f"{channel}:BTC"]) == shape(real[channel])
    deep, fast = ours["l2Book:BTC"]["data"]["levels"], ours["l2Book fast:BTC"]["data"]["levels"]
    assert [len(side) for side in deep] == [20, 20]
    assert [len(side) for side in fast] == [5, 5]


def test_hyperliquid_is_as_documented() -> None:
    text = (WIRE / "docs_examples" / "HyperLiquid" / "Subscriptions" / "BookTicker.txt").read_text()
    real = json.loads(text[text.index("\n= ") + 3 :])
    assert shape(sent(opened("hyperliquid"), 4)["bbo:BTC"]) == shape(real)
