"""What a normaliser divides by, shown; deciding never needs it spelled out."""

from msgspec import Struct

from engine.decision.normalise import Normaliser
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
    """The state after the last update."""
    centre, scale = (part[..., symbol] for part in normaliser.scale(lanes, slice(None)))
    seen = normaliser.total_seen()[lanes, :, symbol]
    return Scales(
        centre=centre,
        scale=scale,
        seen=seen,
        samples=seen / normaliser.lanes.unit[lanes],
        sufficiency=normaliser.sufficiency()[lanes, :, symbol],
    )
