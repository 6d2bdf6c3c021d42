"""On-chain series of the Coin Metrics community API: daily, keyless.

Data under CC BY-NC 4.0: not for commercial use. Which metrics are in the community tier differs by
asset; what is not there is left out of the answer. None of them counts large transfers, so there
is no `whale_transfers`. Source: Coin Metrics API v4, GET /timeseries/asset-metrics; a value's
`time` is the beginning of its day.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.events import Event
from engine.feeds.context.series import DAY, KEPT, day_ns, metrics, read
from engine.feeds.parse import number

PATH = "/timeseries/asset-metrics"
SOURCE = "Coin Metrics"
# Theirs: (our name, unit); None is the coin itself.
_METRICS: dict[str, tuple[str, str | None]] = {
    "FlowInExNtv": ("exchange_inflow", None),
    "FlowOutExNtv": ("exchange_outflow", None),
    "SplyExNtv": ("exchange_reserves", None),
    "AdrActCnt": ("active_addresses", "addresses"),
    "CapMVRVCur": ("mvrv", "ratio"),
}
_ASSETS = {"AVAX": "avaxc"}  # elsewhere the coin in small letters


class Answer(Struct, gc=False):
    data: list[dict[str, Any]]


def assets(symbols: Sequence[str]) -> dict[str, str]:
    """Our symbols by their asset."""
    bases = {s: s.removesuffix("USDT") for s in symbols}
    return {_ASSETS.get(base, base.lower()): s for s, base in bases.items()}


def query(names: Sequence[str]) -> str:
    """The request for the last days of every metric of those assets, after the base URL.

    Assets and metrics that the tier lacks are skipped instead of refusing the whole.
    """
    return (
        f"{PATH}?assets={','.join(names)}&metrics={','.join(_METRICS)}&frequency=1d"
        f"&limit_per_asset={KEPT}&paging_from=end&page_size=10000"
        "&ignore_forbidden_errors=true&ignore_unsupported_errors=true"
    )


def decode(data: bytes | str, recv: int | None, symbols: Mapping[str, str]) -> list[Event]:
    """Events of an answer; `symbols`: ours by asset. Raises DecodeError, msgspec's errors."""
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in read(data, Answer).data:
        symbol = symbols.get(str(row.get("asset")))
        end = day_ns(str(row.get("time"))) + DAY
        if symbol is None:
            continue
        for theirs in _METRICS:
            value = number(row.get(theirs), 1e15)
            if value is not None and value >= 0:
                series.setdefault((symbol, theirs), []).append((end, value))
    out: list[Event] = []
    for (symbol, theirs), points in series.items():
        name, unit = _METRICS[theirs]
        out += metrics(name, unit or symbol.removesuffix("USDT"), SOURCE, points, recv, symbol)
    return out
