"""Total: how the cards listed add up to the bias."""

from cockpit.widgets import marks, text
from cockpit.widgets.bars import Bar
from cockpit.widgets.ranks import ORDERS, Ranked, rank
from cockpit.widgets.scene import Scene, composite
from cockpit.widgets.text import Cell


class Total(Bar):
    """Cards + adjustments = bias, in points."""

    search = ""

    def show(self, scene: Scene) -> None:
        ranked = rank(scene, ORDERS[0], self.search)
        found = composite(scene.current, scene.mode) if scene.current else None
        if ranked is None or found is None:
            self.spread([], [])
            return
        left = [self.words(self._count(ranked), "muted")]
        if found.bias is None or ranked.total is None:
            self.spread(left, [self.words("no bias: too few cards ", "warn")])
            return
        cells: list[Cell] = []
        if self.search:
            cells += [*self._sum("shown", ranked.shown), *self._sum("of bias", found.bias)]
        else:
            cells += self._sum("cards", ranked.total)
            for name, value in found.adjustments.items():
                cells += self._sum(name.replace("_", " "), value)
            cells += self._sum("= bias", found.bias, "strong")
        self.spread(left, [tuple(s for c in cells for s in c)])

    def _count(self, ranked: Ranked) -> str:
        there = sum(card.available for card in ranked.cards)
        of = f" of {ranked.count}" if self.search else ""
        said = f" {len(ranked.cards)}{of} cards, {there} available"
        return f" /{text.clean(self.search)} {said}" if self.search else said

    def _sum(self, name: str, points: float | None, ink: str = "muted") -> list[Cell]:
        shown = text.signed(points, 2) or self.look.glyphs.none
        return [self.words(f"{name} ", ink), self.words(f"{shown}  ", marks.tone(points))]
