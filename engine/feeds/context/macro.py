"""Traditional markets and mood: daily series of FRED, round-the-clock perpetuals, Fear & Greed.

FRED (keyless CSV): DGS10 and DTWEXBGS are public domain, VIXCLS is Cboe's and SP500 is S&P's, for
personal use without redistribution; St. Louis Fed is to be named. Values are of a day, told after
it. Perpetuals: Bybit's contracts on metals and shares, found by the catalogue's `symbolType`;
SPYUSDT is one share of the S&P 500 fund, a tenth of the index or so. Fear & Greed: alternative.me,
free with attribution beside the value; stamped with the end of the day it is made of.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from engine.clock import NS
from engine.events import Event, Metric
from engine.feeds.context.series import DAY, KEPT, VENUE, day_ns, metrics, read
from engine.feeds.feed import DecodeError
from engine.feeds.parse import MS, Millis, Price, number

FRED = "/graph/fredgraph.csv"
MOOD = "/fng/"
TICKERS = "/v5/market/tickers"
CATALOGUE = "/v5/market/instruments-info"
_TAIL = 4096  # bytes of a CSV that hold its last KEPT rows
SERIES = {
    "VIXCLS": ("vix", "points"),
    "DTWEXBGS": ("dollar_index", "points"),
    "DGS10": ("yield_10y", "%"),
    "SP500": ("equity_index_daily", "points"),
}
# (base coin, kind in the catalogue): our name.
_CONTRACTS = {("SPY", "stock"): "equity_index", ("XAU", "commodity"): "gold"}
USUAL = {"SPYUSDT": "equity_index", "XAUUSDT": "gold"}


class Mood(Struct, gc=False):
    value: Annotated[float, Meta(ge=0, le=100)]
    time: Annotated[int, Meta(ge=0, le=9_000_000_000)] = field(name="timestamp")


class Moods(Struct, gc=False):
    data: list[Mood]


class Contract(Struct, gc=False):
    name: str = field(name="symbol")
    base: str = field(name="baseCoin", default="")
    quote: str = field(name="quoteCoin", default="")
    status: str = ""
    type: str = field(name="contractType", default="")
    kind: str = field(name="symbolType", default="")


class Contracts(Struct, gc=False):
    rows: list[Contract] = field(name="list")


class Catalogue(Struct, gc=False):
    result: Contracts


class Ticker(Struct, gc=False):
    name: str = field(name="symbol")
    mark: Price = field(name="markPrice")


class Tickers(Struct, gc=False):
    rows: list[Ticker] = field(name="list")


class Quoted(Struct, gc=False):
    time: Millis
    result: Tickers


def contracts(data: bytes | str) -> dict[str, str]:
    """Our names of the perpetuals on an equity index and gold, by contract; {} without any."""
    return {
        row.name: _CONTRACTS[row.base, row.kind]
        for row in read(data, Catalogue).result.rows
        if (row.base, row.kind) in _CONTRACTS
        and (row.status, row.type, row.quote) == ("Trading", "LinearPerpetual", "USDT")
    }


def quotes(data: bytes | str, recv: int | None, known: dict[str, str] | None) -> list[Event]:
    """Marks of the contracts in `known`, None before the catalogue; raises DecodeError."""
    if known is None:
        raise DecodeError("contract kind unknown")
    answer = read(data, Quoted)
    if any(row.name not in known for row in answer.result.rows):
        raise DecodeError("not a traditional market")
    return [
        Metric(
            venue=VENUE,
            market="perp",
            symbol=None,
            ts=answer.time * MS,
            recv=recv,
            name=known[row.name],
            value=row.mark,
            unit="USD",
            source=f"bybit {row.name}",
        )
        for row in answer.result.rows
    ]


def mood(data: bytes | str, recv: int | None) -> list[Event]:
    """The index of the last days, 0 fear to 100 greed."""
    points = [(row.time * NS, row.value) for row in read(data, Moods).data]
    return metrics("fear_greed", "points", "alternative.me", points, recv)


def fred(data: bytes | str, series: str, recv: int | None) -> list[Event]:
    """The last values of a CSV `observation_date,ID`; "." and "" stand for no value."""
    text = data if isinstance(data, str) else data.decode(errors="replace")
    if series not in SERIES or series not in text[:80]:
        raise DecodeError("no such series")
    name, unit = SERIES[series]
    rows = [line.split(",") for line in text[-_TAIL:].splitlines()[1:] if line][-2 * KEPT :]
    if any(len(row) != 2 for row in rows):
        raise DecodeError("malformed")
    points = [(day_ns(day) + DAY, v) for day, t in rows if (v := number(t, 1e9)) is not None]
    return metrics(name, unit, f"FRED {series}", points, recv)
