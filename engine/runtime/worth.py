"""What stands beside a bias: what price may move, what following it costs, what peers say."""

import numpy as np
from msgspec import Struct

from engine.clock import NS
from engine.decision.decide import Decision
from engine.decision.outlook import COIN, MEAN_SIZE
from engine.market.listed import Listed
from engine.runtime.pipeline import Pipeline
from engine.runtime.readings import known

BPS = 1e4
FUNDED_S = 8 * 3600.0
# A touch older than this is no price to trade at.
OLD_NS = 60 * NS


class Worth(Struct, frozen=True):
    """The fields of `snapshot.Composite` of the same names, at the decision's instant."""

    base_rate: float | None
    expected_move_bps: float | None
    cost_bps: float | None
    peers: tuple[str, ...]
    peers_agree: float | None


def worth(pipeline: Pipeline, decision: Decision, s: int) -> Worth:
    """Of one symbol, right after the step that decided."""
    found, config, market = decision.outlook, pipeline.config, pipeline.market
    move = known(found.deviation[s] * MEAN_SIZE * BPS)
    side = float(np.nan_to_num(np.sign(decision.parts.bias[s])))
    listed = market.listed.get((market.reference, pipeline.symbols[s]))
    horizon = config.modes[decision.mode].horizon
    return Worth(
        base_rate=None if move is None else COIN,
        expected_move_bps=move,
        cost_bps=cost_bps(listed, side, config.costs.taker_bps, horizon, decision.ts),
        peers=tuple(pipeline.symbols[n] for n in found.peers[:, s].tolist() if n >= 0),
        peers_agree=known(found.agreeing[s]),
    )


def cost_bps(listed: Listed | None, side: float, taker_bps: float, horizon: float,
             now: int) -> float | None:  # fmt: skip
    """In and out as taker: two fees, the spread, and the funding of `horizon` s on that side.

    `side` -1, 0 or +1. None without a recent touch or where funding is not known.
    """
    quote, funding = (listed.quote, listed.funding) if listed is not None else (None, None)
    rate = funding.rate_8h if funding is not None else None
    if quote is None or rate is None or quote.bid <= 0 or now - (quote.recv or 0) > OLD_NS:
        return None
    spread = BPS * (quote.ask - quote.bid) / ((quote.ask + quote.bid) / 2)
    return 2 * taker_bps + spread + side * BPS * rate * horizon / FUNDED_S
