"""Bybit's contracts by name and market, and its REST answers into events."""

from itertools import pairwise

from engine.events import Event, Market, OpenInterest, Ratio
from engine.feeds.bybit import wire
from engine.feeds.bybit.ticker import State, common, funding_event
from engine.feeds.feed import Context, DecodeError
from engine.feeds.parse import NOT_OURS, convert, path, query
from engine.instruments import parse_name

Events = tuple[Event, ...]

HOUR = 3_600_000
MAX_NAMES = 10_000
COINS = frozenset({"", "innovation", "adventure"})
_OTHER_MARKETS = frozenset({"inverse", "option", "spread"})


class Contracts:
    """The states of contracts by the venue's names; the names of ours that are listed."""

    def __init__(self) -> None:
        self._states: dict[Market, dict[str, State]] = {"perp": {}, "spot": {}}
        self._markets: dict[str, Market | None] = {}
        self.names: dict[str, str] = {}

    def find(self, name: str, context: Context) -> State:
        """The contract of that name in the market that the frame's url speaks of."""
        market = self._markets.get(context.url) or self.market(context.url)
        return self._states[market].get(name) or self._resolve(name, market)

    def market(self, url: str) -> Market:
        """Which market a url is about: linear perpetuals unless it says otherwise."""
        if url not in self._markets:
            named = query(url).get("category") or path(url).rstrip("/").rpartition("/")[2]
            if len(self._markets) > MAX_NAMES:
                self._markets.clear()
            market: Market = "spot" if named == "spot" else "perp"
            self._markets[url] = None if named in _OTHER_MARKETS else market
        found = self._markets[url]
        if found is None:
            raise DecodeError(NOT_OURS)
        return found

    def _resolve(self, name: str, market: Market) -> State:
        listing = parse_name(name)
        if listing is None or listing.quote not in ("USDT", "USDC") or len(name) > 40:
            raise DecodeError(NOT_OURS)
        states = self._states[market]
        if len(states) > MAX_NAMES:
            raise DecodeError("too many names")
        states[name] = found = State(symbol=listing.id, lot=listing.lot, market=market)
        return found

    def perp(self, name: str) -> State:
        """The perpetual of that name."""
        return self._states["perp"].get(name) or self._resolve(name, "perp")

    def learn(self, contracts: list[wire.Contract]) -> frozenset[str]:
        """Remember names and funding intervals; our symbols of the coin perpetuals that trade.

        Equities and metals have a sort of their own.
        """
        found: dict[str, str] = {}
        for c in contracts:
            listing = parse_name(c.symbol)
            perpetual = c.kind == "LinearPerpetual" and c.quote == "USDT" and c.sort in COINS
            if not perpetual or listing is None or len(c.symbol) > 40:
                continue
            self.perp(c.symbol).hours = c.minutes / 60 or None
            if c.status == "Trading":
                found.setdefault(listing.id, c.symbol)
        self.names.update(found)
        return frozenset(found)

    def answer(self, answer: wire.Answer, context: Context) -> Events:
        """Events of a REST answer, told by its rows; a catalogue is remembered."""
        result = rows_of(answer)
        if not result.list:
            return ()
        first = result.list[0] if isinstance(result.list[0], dict) else {}
        category = result.category or query(context.url).get("category", "linear")
        if "baseCoin" in first and category in ("linear", "spot"):
            if category == "linear":
                self.learn(convert(result.list, list[wire.Contract]))
            return ()
        if category != "linear":
            raise DecodeError(NOT_OURS)
        if "buyRatio" in first:
            return self._ratios(convert(result.list, list[wire.RatioRow]), context)
        if "fundingRateTimestamp" in first:
            return self._fundings(convert(result.list, list[wire.FundingRow]), context)
        if first.keys() >= {"openInterest", "timestamp"}:
            rows = convert(result.list, list[wire.OpenInterestRow])
            return self._interest(rows, result.symbol, context)
        raise DecodeError("unknown answer")

    def _ratios(self, rows: list[wire.RatioRow], context: Context) -> Events:
        return tuple(
            Ratio(
                **common(self.perp(row.symbol), row.time, context, history=True),
                measure="global_accounts",
                value=row.buy / row.sell,
            )
            for row in rows
        )

    def _interest(self, rows: list[wire.OpenInterestRow], name: str, context: Context) -> Events:
        state = self.perp(name)
        return tuple(
            OpenInterest(
                **common(state, row.time, context, history=True),
                base=row.both / 2 * state.lot,
                usd=None,
            )
            for row in rows
        )

    def _fundings(self, rows: list[wire.FundingRow], context: Context) -> Events:
        """Settled rates, newest first; each is for the time since the one before it."""
        gaps = [(newer.time - older.time) / HOUR for newer, older in pairwise(rows)]
        out = []
        for row, gap in zip(rows, [*gaps, 0.0], strict=True):
            state = self.perp(row.symbol)
            hours = gap if gap.is_integer() and 0 < gap <= 24 else state.hours
            event = common(state, row.time, context, history=True)
            out.append(funding_event(event, row.rate, hours, None))
        return tuple(out)


def rows_of(answer: wire.Answer) -> wire.Rows:
    """The rows of a successful answer; raises DecodeError or msgspec.ValidationError."""
    if answer.code:
        raise DecodeError(f"refused: {answer.message[:80] or answer.code}")
    rows: wire.Rows = convert(answer.result, wire.Rows)
    return rows
