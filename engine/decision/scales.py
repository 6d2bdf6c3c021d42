"""What a normaliser divides by, shown; deciding never needs it spelled out."""

import numpy as np
from msgspec import Struct

from engine.decision.normalise import TINY, Normaliser
from engine.market.view import Array


class Scales(Struct, frozen=True, eq=False):
    """(lanes given, cards) of one symbol: normalised = (raw - centre) / scale.

    `scale` is NaN where nothing has moved yet, and the normalised value is 0 then. `samples`: how
    many independent ones it has seen, `sufficiency` what that is worth.
    """

    centre: Array
    scale: Array
    seen: Array
    samples: Array
    sufficiency: Array


def scales_of(normaliser: Normaliser, lanes: slice, symbol: int) -> Scales:
    """The state after the last update, in the same arithmetic as there."""
    whole = normaliser._with_past((lanes, slice(None)))
    weight, total, square = (part[..., symbol] for part in whole)
    weight = np.maximum(weight, TINY)
    mean = total / weight
    centred, fixed, unit = (
        flag[:, 0] for flag in (normaliser._centred, normaliser._fixed, normaliser._unit)
    )
    centre = np.where(centred & ~fixed, mean, 0.0)
    spread = square / weight - centre * (2 * mean - centre)
    usable = spread > 1e-12 * square / weight
    found = np.where(usable, np.sqrt(np.maximum(spread, 0.0)), np.nan)
    seen = normaliser.seen[lanes, :, symbol]
    if normaliser.past is not None:
        seen = seen + normaliser.past.seen[lanes, :, symbol]
    seen = np.minimum(seen, normaliser.lanes.look_back[lanes])
    samples = seen / normaliser.lanes.unit[lanes]
    return Scales(
        centre=centre,
        scale=np.where(fixed, unit, found),
        seen=seen,
        samples=samples,
        sufficiency=samples / (samples + 30),
    )
