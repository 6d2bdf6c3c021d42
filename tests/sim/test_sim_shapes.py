"""Frames of the simulated exchanges beside recorded and documented ones: same keys and types."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from engine.clock import SimulatedClock
from engine.sim.market import SimulatedMarket
from engine.sim.market.shadow import Reference
from engine.sim.venues.base import ShadowVenue, venue_class

TWO = ("BTCUSDT", "ETHUSDT")
WIRE = Path(__file__).parents[3] / "shared" / "wire"
DOCS = WIRE / "docs_examples"


def shape(value: Any) -> Any:
    """Keys and types of a frame; the rows of a list as one, numbers in text as such."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        kinds = {json.dumps(shape(one), sort_keys=True) for one in value}
        return [json.loads(kind) for kind in sorted(kinds)]
    if isinstance(value, str):
        return "number" if value.replace(".", "").replace("-", "").isdigit() else "text"
    return type(value).__name__


def sent_by(name: str, seconds: float = 8.0) -> list[Any]:
    """Every stream frame of some seconds, a liquidation included, as JSON."""
    reference = Reference(SimulatedMarket(TWO, seed=3))
    venue = venue_class(name)(reference, SimulatedClock(0))
    assert isinstance(venue, ShadowVenue)
    venue.ports.close()
    venue.shadow.character = replace(venue.shadow.character, share=1.0)
    out = []
    for at in range(round(seconds * 10)):
        if at == 20:
            reference.market._forced[0].append((True, 900))
        out += [json.loads(data) for _, data in venue.frames(reference.tick())]
    return out


@pytest.mark.wire
@pytest.mark.skipif(not WIRE.exists(), reason="no recordings beside the checkout")
def test_bybit_speaks_as_recorded() -> None:
    """Each kind of frame has the keys and types of a real one of August 2026."""
    real = recorded(WIRE / "bybit" / "BYBIT.jsonl.zst")
    ours: dict[tuple[str, str], Any] = {}
    for frame in sent_by("bybit"):
        ours.setdefault((frame["topic"].split(".")[0], frame["type"]), frame)
    venue = venue_class("bybit")(Reference(SimulatedMarket(TWO[:1])), SimulatedClock(0))
    venue.ports.close()
    for topic in ("orderbook.200.BTCUSDT", "tickers.BTCUSDT"):
        frame = json.loads(venue._first(topic)[0])  # type: ignore[attr-defined]
        ours[topic.split(".")[0], "snapshot"] = frame
    for kind in (("orderbook", "snapshot"), ("orderbook", "delta"), ("publicTrade", "snapshot"),
                 ("tickers", "snapshot")):  # fmt: skip
        assert shape(ours[kind]) == shape(real[kind]), kind
    moved = ours["tickers", "delta"]
    assert moved["data"].keys() <= real["tickers", "snapshot"]["data"].keys()
    assert shape({**moved, "data": {}}) == shape({**real["tickers", "delta"], "data": {}})


def recorded(path: Path) -> dict[tuple[str, str], Any]:
    """The first frame of each kind of the linear socket."""
    out: dict[tuple[str, str], Any] = {}
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    for line in text.splitlines():
        row = json.loads(line)
        if row["t"] == "recv" and row["conn"] == "BYBIT.ws.2":
            frame = json.loads(row["data"])
            if "topic" in frame:
                out.setdefault((frame["topic"].split(".")[0], frame["type"]), frame)
    return out


def documented(path: Path) -> Any:
    """The payload of an example, which stands after the line that begins with `=`."""
    text = path.read_text()
    start = text.index("\n=") if "\n=" in text else text.index("\n")
    return json.loads(text[text.index("{", start) :])


@pytest.mark.wire
@pytest.mark.skipif(not DOCS.exists(), reason="no examples beside the checkout")
@pytest.mark.parametrize(
    ("name", "path", "chosen"),
    [
        ("bybit", "Bybit/Subscriptions/V5/Linear/Liquidations.txt", '"allLiquidation.'),
        ("okx", "OKX/Subscriptions/Unified/ExchangeData/Trades.txt", '"trades"'),
        ("okx", "OKX/Subscriptions/Unified/ExchangeData/MarkPrice.txt", '"mark-price"'),
        ("okx", "OKX/Subscriptions/Unified/ExchangeData/IndexTicker.txt", '"index-tickers"'),
        ("okx", "OKX/Subscriptions/Unified/ExchangeData/Interest.txt", '"open-interest"'),
        ("okx", "OKX/Subscriptions/Unified/ExchangeData/OrderBook.txt", '"books"'),
        ("bitget", "Bitget/Subscriptions/Unified/Book.txt", '"books1"'),
        ("gate", "GateIo/Subscriptions/Futures/SubscribeToTradeUpdates.txt", '.trades"'),
        ("gate", "GateIo/Subscriptions/Futures/SubscribeToBookTickerUpdates.txt", '.book_ticker"'),
        ("gate", "GateIo/Subscriptions/Futures/SubscribeToOrderBookV2Updates.txt", '.obu"'),
        ("gate", "GateIo/Subscriptions/Futures/SubscribeToContractStatsUpdates.txt", '_stats"'),
    ],
)
def test_others_speak_as_documented(name: str, path: str, chosen: str) -> None:
    """A frame of ours has all that the documentation's has, of the same type."""
    ours = next(f for f in sent_by(name, 12.0) if chosen in json.dumps(f))
    holds(ours, documented(DOCS / path))


def holds(ours: Any, documented: Any) -> None:
    if isinstance(documented, dict):
        # Only a whole book says that it is one.
        missing = documented.keys() - ours.keys() - {"full"}
        assert not missing
        for key in documented.keys() & ours.keys():
            holds(ours[key], documented[key])
    elif isinstance(documented, list) and documented and ours:
        holds(ours[0], documented[0])
    else:
        numbers = (int, float)
        both = isinstance(ours, numbers) and isinstance(documented, numbers)
        assert both or type(ours) is type(documented), (ours, documented)
