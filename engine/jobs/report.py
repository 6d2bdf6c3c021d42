"""A snapshot as JSON for other programs, as a table for people."""

import math
from collections.abc import Sequence
from typing import Any

from engine.snapshot import (
    MODES,
    CategoryLine,
    Composite,
    FeedHealth,
    Snapshot,
    StreamHealth,
    SymbolState,
)

NOT_AVAILABLE = "NOT_AVAILABLE"
_UNKNOWN = "-"


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """Plain data of all symbols, modes, categories and feeds; what is not known is None.

    Coverage, agreement and confidence are 0..1, conviction 0..100, bias -100..+100; category
    contributions and adjustments add up to the bias. `ts` in ns.
    """
    ids = [category.id for category in snapshot.categories]
    return {
        "mode_of_data": snapshot.mode_of_data,
        "ts": snapshot.ts,
        "symbols": {state.id: _symbol(state, ids) for state in snapshot.symbols},
        "feeds": {name: _feed(health) for name, health in snapshot.feeds.items()},
    }


def _symbol(state: SymbolState, categories: Sequence[str]) -> dict[str, Any]:
    modes = {mode: _composite(state.modes.get(mode), categories) for mode in MODES}
    return {"price": _number(state.price.last), "modes": modes}


def _composite(composite: Composite | None, categories: Sequence[str]) -> dict[str, Any]:
    """A mode's decision; before the first one the same keys with nothing in them."""
    of = composite.categories if composite else {}
    out: dict[str, Any] = {name: getattr(composite, name, None) for name in _SINGLE}
    return {name: _number(value) for name, value in out.items()} | {
        "agreement_by_window": dict(composite.agreement_by_window) if composite else {},
        "cards": {
            "available": composite.available if composite else 0,
            "total": composite.total if composite else 0,
        },
        "categories": {id: _category(of.get(id)) for id in categories},
        "adjustments": {k: _number(v) for k, v in composite.adjustments.items()}
        if composite
        else {},
    }


_SINGLE = (
    "bias",
    "conviction",
    "confidence",
    "base_rate",
    "calibrated",
    "decision",
    "state",
    "agreement",
    "coverage",
)


def _category(line: CategoryLine | None) -> dict[str, Any]:
    if line is None:
        return {"score": None, "state": NOT_AVAILABLE, "contribution": None}
    score, contribution = _number(line.score), _number(line.contribution)
    return {"score": score, "state": line.state, "contribution": contribution}


def _feed(health: FeedHealth) -> dict[str, Any]:
    return {
        "state": health.state,
        "note": health.note,
        "streams": {name: _stream(stream) for name, stream in health.streams.items()},
        "dropped": health.dropped,
        "dropped_by_reason": dict(sorted(health.dropped_by_reason.items())),
        "frames": health.frames,
        "gaps": health.gaps,
        "resyncs": health.resyncs,
        "reconnects": health.reconnects,
    }


def _stream(stream: StreamHealth) -> dict[str, Any]:
    return {
        "state": stream.state,
        "age": _number(stream.age),
        "events": stream.events,
        "ready": stream.ready,
        "total": stream.total,
        "missing": list(stream.missing),
    }


def _number(value: Any) -> Any:
    """The value itself, None for a number that is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def snapshot_table(snapshot: Snapshot) -> str:
    """Symbols by mode (bias, conviction, decision), then the feeds; '-' is not known."""
    head = ["symbol", "price", *(f"{mode} {what}" for mode in MODES for what in _COLUMNS)]
    rows = [_row(state) for state in snapshot.symbols]
    feeds = [
        f"{name}: {health.state}" + (f", {health.note}" if health.note else "")
        for name, health in snapshot.feeds.items()
    ]
    title = f"{snapshot.mode_of_data.upper()}; conviction is no probability, not financial advice"
    return "\n".join([title, "", *_aligned([head, *rows]), "", *feeds])


_COLUMNS = ("bias", "conv", "decision")


def _row(state: SymbolState) -> list[str]:
    cells = [state.id, _fixed(state.price.last, state.price.decimals)]
    for mode in MODES:
        composite = state.modes.get(mode)
        bias = None if composite is None else composite.bias
        if composite is None or _number(bias) is None:
            cells += [_UNKNOWN] * len(_COLUMNS)
        else:
            conviction = f"~{_fixed(composite.conviction, 0)}"
            cells += [_fixed(bias, 1, sign="+"), conviction, composite.decision]
    return cells


def _fixed(value: float | None, decimals: int, sign: str = "") -> str:
    return _UNKNOWN if value is None or _number(value) is None else f"{value:{sign}.{decimals}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell: the first to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return lines


def silence(snapshot: Snapshot) -> str | None:
    """What to tell when not one feed has sent anything; None where one has."""
    if any(health.frames for health in snapshot.feeds.values()):
        return None
    states = [
        f"{name} {health.note or health.state}"
        for name, health in snapshot.feeds.items()
        if health.state != "off"
    ]
    reached = f"no feed sent anything ({', '.join(states)})" if states else "every feed is off"
    return (
        f"{reached}; 'blackperp-cockpit doctor' says why, and"
        " 'blackperp-cockpit replay PATH' shows a recording without a network"
    )
