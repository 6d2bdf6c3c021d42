"""Totals: what the listed rows say together; one line below them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rich.segment import Segment

from cockpit.theme import Glyphs, Ink
from cockpit.widgets import marks, text
from cockpit.widgets.keys import state_text
from cockpit.widgets.lines import Lines
from cockpit.widgets.measures import decided
from cockpit.widgets.scene import Scene, composite, is_warming
from cockpit.widgets.text import Cell
from engine.snapshot import SymbolState

# Points of bias from which a symbol counts to a side.
SIDE = 20.0
BAR = 21
GAP = 3
REGIME = "regime"


@dataclass(frozen=True)
class Tally:
    """Of rows in one mode; biases that say nothing yet do not count.

    `down`, `flat`, `up`: biases below -20, between, above +20. Liquidations in USD over 1 h, None
    where no row tells. `regime`: the word that most of the rows' regime categories share, with
    how many, of how many.
    """

    rows: int
    down: int
    flat: int
    up: int
    median: float | None
    mean_size: float | None
    longs: float | None
    shorts: float | None
    regime: tuple[str, int, int] | None

    @property
    def biased(self) -> int:
        return self.down + self.flat + self.up


def tally(rows: Sequence[SymbolState], mode: str) -> Tally:
    """Breadth, middle and size of the rows' biases; what was liquidated; their regime."""
    found = [c for c in (decided(state, mode) for state in rows) if c and not is_warming(c)]
    biases = [c.bias for c in found if c.bias is not None]
    down, up = sum(b < -SIDE for b in biases), sum(b > SIDE for b in biases)
    lines = [line for c in found if (line := c.categories.get(REGIME))]
    words = Counter(state_text(x.state)[0].lower() for x in lines if x.score is not None)
    return Tally(
        rows=len(rows),
        down=down,
        flat=len(biases) - down - up,
        up=up,
        median=median(biases) if biases else None,
        mean_size=fmean(map(abs, biases)) if biases else None,
        longs=_sum(state.long_liquidated for state in rows),
        shorts=_sum(state.short_liquidated for state in rows),
        regime=_most(words),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def _most(words: Counter[str]) -> tuple[str, int, int] | None:
    """The word of more than half, with how many of how many; 'mixed' where there is none."""
    if not words:
        return None
    (word, count), total = words.most_common(1)[0], words.total()
    return (word if count * 2 > total else "mixed", count, total)


class Totals(Lines):
    """Pieces of the line as far as there is room, the most telling first."""

    def show(self, scene: Scene) -> None:
        seen = tuple(
            (composite(s, scene.mode), s.long_liquidated, s.short_liquidated) for s in scene.rows
        )
        if self.same(scene.waiting, seen):
            return
        if scene.waiting or not scene.rows:
            self.show_lines([])
            return
        form = _Form(tally(scene.rows, scene.mode), self.look.glyphs, self.ink)
        cells: list[Cell] = [(Segment(" ", self.ink["blank"]),)]
        room = self.size.width - 1
        for piece in form.pieces():
            size = sum(len(s.text) for s in piece)
            if size <= room:
                cells.append((*piece, Segment(" " * GAP, self.ink["blank"])))
                room -= size + GAP
        self.show_lines([tuple(cells)])


class _Form:
    """Draws the pieces; each is as wide whatever its numbers are, so that none moves."""

    def __init__(self, tally: Tally, glyphs: Glyphs, ink: Ink) -> None:
        self._tally = tally
        self._glyphs = glyphs
        self._ink = ink

    def pieces(self) -> tuple[Cell, ...]:
        t = self._tally
        middle, size = text.signed(t.median), None
        if t.mean_size is not None:
            size = f"{t.mean_size:.0f}"
        longs, shorts = text.usd(t.longs), text.usd(t.shorts)
        none = self._glyphs.none
        liquidated = None if longs is None and shorts is None else (
            f"{longs or none:>4}/{shorts or none:<4}"
        )  # fmt: skip
        pieces = (
            self._breadth(),
            self._named("flat", f"{t.flat:>2}", "muted"),
            self._named("median bias", f"{middle or none:>3}", marks.tone(t.median)),
            self._named("mean |bias|", f"{size or none:>2}"),
            self._named("with a bias", f"{t.biased:>2} of {t.rows}"),
            self._named("liquidated L/S", liquidated or f"{none:>4}     "),
        )
        if t.regime is None:
            return pieces
        word, count, total = t.regime
        share = "" if word == "mixed" else f" {count}/{total}"
        return (*pieces, self._named("regime", word + share))

    def _named(self, name: str, value: str, tone: str = "text") -> Cell:
        ink = self._ink["faint" if not value.strip(self._glyphs.none + " ") else tone]
        return Segment(f"{name} ", self._ink["dim"]), Segment(value, ink)

    def _breadth(self) -> Cell:
        """Counts of both sides and a bar between them: down, flat, up."""
        t, glyphs, ink = self._tally, self._glyphs, self._ink
        sizes = shares((t.down, t.flat, t.up), BAR)
        bar = (glyphs.full * sizes[0], glyphs.rule * sizes[1], glyphs.full * sizes[2])
        if not t.biased:
            bar = (glyphs.none * BAR, "", "")
        tones = ("down2" if t.biased else "faint", "faint", "up2")
        drawn = [(piece, name) for piece, name in zip(bar, tones, strict=True) if piece]
        return (
            Segment(f"{glyphs.arrow_down}{t.down:>2} ", ink["down2" if t.down else "dim"]),
            *(Segment(piece, ink[name]) for piece, name in drawn),
            Segment(f" {t.up:<2}{glyphs.arrow_up}", ink["up2" if t.up else "dim"]),
        )


def shares(counts: Sequence[int], width: int) -> tuple[int, ...]:
    """Cells of a bar by counts, together its width; every count above 0 has a cell."""
    total = sum(counts)
    if not total:
        return (0,) * len(counts)
    sizes = [max(round(c / total * width), 1 if c else 0) for c in counts]
    sizes[sizes.index(max(sizes))] += width - sum(sizes)
    return tuple(sizes)
