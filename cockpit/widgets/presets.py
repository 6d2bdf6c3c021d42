"""Presets: named sets of columns, and which of them there is room for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.snapshot import MODES

Places = tuple[tuple[str, int], ...]
FIRST = "symbol"
# Of the columns of the three modes, those that are not active.
OTHER = "other"


@dataclass(frozen=True, eq=False)
class Preset:
    """`columns` left to right; `steps`: what is added or widened, most wanted first.

    A step that does not fit is passed over. `active` and `other` in steps are the columns of the
    active mode and of the two others. Without steps all columns come narrow, as far as they fit,
    and are then widened, both in their order.
    """

    name: str
    columns: tuple[str, ...]
    steps: Places = ()


OVERVIEW = Preset(
    "overview",
    ("symbol", "price", "change", *MODES, "conviction", "decision", "arrows", "state", "strip",
     "spark", "funding", "oi", "liquidated", "age"),
    (("symbol", 5), ("price", 10), ("change", 6), ("active", 13), ("age", 4), ("decision", 5),
     ("conviction", 4), ("arrows", 3), ("other", 4), ("spark", 10), ("strip", 25),
     ("funding", 8), ("oi", 6), ("state", 8), ("liquidated", 13), ("arrows", 8), ("other", 10),
     ("spark", 20), ("conviction", 7), ("active", 21), ("decision", 12)),
)  # fmt: skip
BUILT_IN = (
    OVERVIEW,
    Preset(
        "flow",
        ("symbol", "price", "change", "bias", "decision", "order_flow", "order_book",
         "smart_money", "microstructure", "cross_exchange", "volume_profile", "arrows", "agreement",
         "spread", "strip", "spark", "age"),
        (("symbol", 5), ("price", 10), ("bias", 4), ("order_flow", 7), ("order_book", 7),
         ("smart_money", 7), ("microstructure", 7), ("age", 4), ("spread", 6), ("arrows", 3),
         ("cross_exchange", 7), ("volume_profile", 7), ("strip", 25), ("bias", 13), ("change", 6),
         ("decision", 5), ("agreement", 4), ("spark", 10), ("arrows", 8), ("spark", 20),
         ("bias", 21), ("decision", 12)),
    ),
    Preset(
        "positioning",
        ("symbol", "price", "change", "bias", "funding", "funding_year", "oi", "liq_long",
         "liq_short", "liq_side", "funding_category", "derivatives", "liquidation", "sentiment",
         "decision", "state", "spark", "age"),
        (("symbol", 5), ("price", 10), ("bias", 4), ("funding", 8), ("oi", 6), ("liq_long", 5),
         ("liq_short", 5), ("age", 4), ("liq_side", 13), ("change", 6), ("derivatives", 7),
         ("funding_category", 7), ("liquidation", 7), ("sentiment", 7), ("funding_year", 7),
         ("bias", 13), ("decision", 5), ("spark", 10), ("state", 8), ("spark", 20), ("bias", 21),
         ("decision", 12)),
    ),
    Preset(
        "decision",
        ("symbol", "price", *MODES, "decision", "conviction", "arrows", "agreement", "coverage",
         "cards", "state", "strip", "spark", "age"),
        (("symbol", 5), ("scalp", 4), ("day", 4), ("swing", 4), ("decision", 5),
         ("conviction", 4), ("arrows", 3), ("agreement", 4), ("coverage", 4), ("state", 8),
         ("age", 4), ("active", 13), ("price", 10), ("cards", 7), ("other", 10), ("arrows", 8),
         ("decision", 12), ("strip", 25), ("spark", 10), ("other", 13), ("spark", 20),
         ("conviction", 7), ("active", 21), ("other", 21)),
    ),
)  # fmt: skip


def all_presets(own: Mapping[str, Sequence[str]]) -> tuple[Preset, ...]:
    """The built-in ones and the user's, which take the place of those of the same name."""
    made = {preset.name: preset for preset in BUILT_IN}
    for name, columns in own.items():
        made[name] = Preset(name, tuple(dict.fromkeys((FIRST, *columns))))
    return tuple(made.values())


@lru_cache(maxsize=256)
def fitted(
    width: int, mode: str, preset: Preset, sizes: Callable[[str], tuple[int, ...]]
) -> Places:
    """Columns of a preset and their widths that fit into `width`, one cell between them."""
    taken: dict[str, int] = {}
    room = width - 1
    for name, size in preset.steps or _steps(preset.columns, sizes):
        group = _group(name, mode)
        cost = sum(size - taken[one] if one in taken else size + 1 for one in group)
        if cost <= room and all(size > taken.get(one, 0) for one in group):
            room -= cost
            taken.update(dict.fromkeys(group, size))
    return tuple((name, taken[name]) for name in preset.columns if name in taken)


def _group(name: str, mode: str) -> tuple[str, ...]:
    if name == OTHER:
        return tuple(m for m in MODES if m != mode)
    return (mode if name == "active" else name,)


def _steps(columns: Sequence[str], sizes: Callable[[str], tuple[int, ...]]) -> Places:
    each = {name: sizes(name) for name in columns}
    most = max((len(found) for found in each.values()), default=0)
    return tuple(
        (name, found[n]) for n in range(most) for name, found in each.items() if n < len(found)
    )
