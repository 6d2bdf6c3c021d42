"""DefiLlama: value locked and stablecoins by chain, stablecoins of all chains, DEX volume; keyless.

Free to use; DefiLlama asks to be named as the source. Levels are as of their date, the volume of a
day is known at its end. Sources: GET /v2/historicalChainTvl/{chain} and /overview/dexs of
api.llama.fi, GET /stablecoincharts/{all|chain} of stablecoins.llama.fi.
"""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote, unquote

from msgspec import Meta, Raw, Struct, field

from engine.clock import NS
from engine.events import Event
from engine.feeds.context.series import DAY, KEPT, metrics, read
from engine.feeds.feed import DecodeError
from engine.feeds.parse import Size

SOURCE = "DefiLlama"
LOCKED = "/v2/historicalChainTvl/"
STABLE = "/stablecoincharts/"
VOLUME = "/overview/dexs"
# The chain on which a coin is the native one; tokens of protocols have none.
CHAINS = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "SOL": "Solana",
    "XRP": "XRPL",
    "BNB": "BSC",
    "ADA": "Cardano",
    "AVAX": "Avalanche",
    "SUI": "Sui",
    "NEAR": "Near",
    "DOT": "Polkadot",
    "TRX": "Tron",
    "APT": "Aptos",
    "HYPE": "Hyperliquid L1",
    "ARB": "Arbitrum",
    "FIL": "Filecoin",
}
Seconds = Annotated[int, Meta(ge=0, le=9_000_000_000)]


class Locked(Struct, gc=False):
    date: Seconds
    usd: Size = field(name="tvl")


class Circulating(Struct, gc=False):
    """Dollars by the currency the coins are pegged to."""

    date: Seconds
    usd: dict[str, Size] = field(name="totalCirculatingUSD")


class Dexs(Struct, gc=False):
    days: list[Raw] = field(name="totalDataChart")


def paths(base: str) -> tuple[str, ...]:
    """What to ask for about a coin's own chain: of api.llama.fi, of stablecoins.llama.fi."""
    chain = CHAINS.get(base)
    return (LOCKED + quote(chain), STABLE + quote(chain)) if chain else ()


def decode(
    data: bytes | str, path: str, recv: int | None, symbols: Mapping[str, str]
) -> list[Event]:
    """Events of an answer; `symbols`: ours by chain. Raises DecodeError, msgspec's errors.

    Answers begin years ago, so only their last rows are looked at.
    """
    if path.endswith(VOLUME):
        rows = read(data, Dexs).days[-KEPT - 1 :]
        days = [read(bytes(row), tuple[Seconds, Size]) for row in rows]
        return metrics("dex_volume", "USD", SOURCE, [(d * NS + DAY, v) for d, v in days], recv)
    chain = unquote(path.rpartition("/")[2])
    symbol = symbols.get(chain)
    if symbol is None and not (chain == "all" and STABLE in path):
        raise DecodeError("no chain of ours")
    rows = [bytes(row) for row in read(data, list[Raw])[-KEPT:]]
    if LOCKED in path:
        locked = [read(row, Locked) for row in rows]
        held = [(row.date * NS, row.usd) for row in locked]
        return metrics("tvl", "USD", SOURCE, held, recv, symbol)
    coins = [read(row, Circulating) for row in rows]
    sums = [(row.date * NS, sum(row.usd.values())) for row in coins]
    name = "chain_stablecoins" if symbol else "stablecoin_supply"
    return metrics(name, "USD", SOURCE, sums, recv, symbol)
