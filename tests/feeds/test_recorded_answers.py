"""Recorded REST answers of Binance: whatever a feed asks for decodes, row by row.

Refused are those about coin-margined pairs, and an empty answer.
"""

import json
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from engine.clock import NS
from engine.feeds.feed import Context, DecodeError, Feed

RECORDED = Path(__file__).parents[2].parent / "shared" / "wire" / "rest" / "binance_usdm_rest.json"
NOW = 1_795_000_050 * NS
PAIR, EMPTY = "not a linear perpetual", "unknown shape"
pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not RECORDED.is_file(), reason="no recordings beside the checkout"),
]
DATA = "/futures/data/"
# Feed -> path it asks for -> events by kind, and answers refused by reason.
USED = {
    "binance": {
        "/fapi/v1/depth": {"BookSnapshot": 3},
        "/fapi/v1/klines": {"Kline": 1133},
        "/fapi/v1/exchangeInfo": {},
        "/fapi/v1/fundingInfo": {},
    },
    "binance_positioning": {
        "/fapi/v1/exchangeInfo": {},
        "/fapi/v1/fundingInfo": {},
        "/fapi/v1/premiumIndex": {},  # the streams tell it; its marks price the open interest
        "/fapi/v1/fundingRate": {"Funding": 110, EMPTY: 3},
        "/fapi/v1/openInterest": {"OpenInterest": 1},
        DATA + "openInterestHist": {"OpenInterest": 21, PAIR: 2},
        DATA + "globalLongShortAccountRatio": {"Ratio": 81, PAIR: 2},
        DATA + "topLongShortAccountRatio": {"Ratio": 6, PAIR: 2},
        DATA + "topLongShortPositionRatio": {"Ratio": 38, PAIR: 2},
        DATA + "takerlongshortRatio": {"Ratio": 10},
    },
}
# Not asked for by the feed of the streams, which decodes them all the same.
ALIKE = {
    "/fapi/v1/premiumIndex": {"Mark": 6, "Funding": 6},
    "/fapi/v1/openInterest": {"OpenInterest": 1},
    **{path: kinds for path, kinds in USED["binance_positioning"].items() if DATA in path},
}
HISTORY = ("/fapi/v1/klines", "/fapi/v1/fundingRate", *(p for p in ALIKE if DATA in p))


def routes() -> dict[str, dict]:
    return json.loads(RECORDED.read_text(encoding="utf-8"))["routes"]


def asked(made: Feed) -> set[str]:
    requests = [made.catalogue_request(), made.book_request("BTCUSDT")]
    requests += [poll.request for poll in made.polls()]
    requests += made.backfill(NOW, ["BTCUSDT"])
    return {urlsplit(request.url).path for request in requests if request is not None}


@pytest.mark.parametrize("name", USED)
def test_the_table_is_what_the_feed_asks_for(seeds, name):
    assert asked(seeds(name).feed()) & routes().keys() == USED[name].keys()


@pytest.mark.parametrize(
    ("name", "path", "kinds"),
    [
        *((name, path, kinds) for name, part in USED.items() for path, kinds in part.items()),
        *(("binance", path, kinds) for path, kinds in ALIKE.items()),
    ],
)
def test_every_answer(seeds, name, path, kinds):
    found: Counter[str] = Counter()
    for answer in routes()[path]["GET"]:
        url = f"https://fapi.binance.com{path}?{answer['queryString']}"
        made = seeds(name).feed()
        try:
            events = made.decode(msgspec.json.encode(answer["data"]), Context(recv=None, url=url))
        except DecodeError as error:
            (reason,) = error.args
            found[reason] += 1
            assert reason == (EMPTY if answer["data"] is None else PAIR)
            assert ("pair=" in url) == (reason == PAIR)
            continue
        assert "pair=" not in url
        found.update(type(event).__name__ for event in events)
        if isinstance(answer["data"], list) and path in HISTORY:
            assert len(events) == len(answer["data"]), "a row, an event"
        assert all(event.ts > 1_500_000_000 * NS for event in events)
        # Short pages are polls, whose last row tells of now.
        past = events[:-1] if name == "binance_positioning" and DATA in path else events
        assert all(event.history == (path in HISTORY) for event in past)
    assert found == kinds
