"""Why did it move: what each part of a bias adds now and added at the decision before."""

from cockpit.academy import pages
from cockpit.screens.card import CardPage, topic_of
from cockpit.screens.explained import Pairs
from cockpit.screens.stage import Page, Stage
from cockpit.screens.symbol import Symbol
from cockpit.theme import Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.moves import Moves, Target
from cockpit.widgets.ranks import WITHIN
from cockpit.widgets.scene import Scene

HOW: Pairs = (
    ("first line", "bias at the decision before and at the last one, and when"),
    ("part", "a category, or the context, which bends the bias as a whole"),
    ("then, now", "its points of the bias at each decision; they add up to it"),
    ("change", "what it added in between; all changes add up to that of the bias"),
    ("others", "parts of less than 0.05 points each, and what did not change"),
    ("card", "those that moved most; cards add up to their categories"),
    ("a dot", "not available at that decision, so it gave nothing"),
)


class MovedPage(Page):
    """Of the symbol under the cursor; a cursor of its own goes through parts and cards."""

    kind = "moved"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self._of: tuple[str, str] | None = None
        self._page: CardPage | None = None

    @property
    def wants(self) -> frozenset[str]:
        return frozenset({"moves"})

    def explains(self) -> Pairs:
        return HOW

    def body(self) -> Lines:
        return Moves(self.look, id="whole")

    @property
    def _moves(self) -> Moves:
        return self.query_one("#whole", Moves)

    def show(self, scene: Scene) -> None:
        of = (scene.current.id, scene.mode) if scene.current else None
        if self.is_mounted and of != self._of:
            self._of, self._page = of, None
            self._moves.to_top()
        if self.is_mounted and self._page is not None:
            self._moves.cursor, self._page = ("card", self._page.card), None
        super().show(scene)

    @property
    def _targets(self) -> tuple[Target, ...]:
        return self._moves.told.targets if self.is_mounted and self._moves.told else ()

    @property
    def _here(self) -> Target | None:
        targets = self._targets
        found = self._moves.cursor if targets else None
        return found if found in targets else next(iter(targets), None)

    def move(self, rows: int) -> bool:
        if self.is_mounted:
            self._moves.step(rows, self._targets)
            self.again()
        return True

    def page(self, direction: int) -> bool:
        return self.move(direction * max(1, self._moves.size.height - 1))

    def on_moves_picked(self) -> None:
        self.again()

    def topic(self) -> tuple[str, str] | None:
        subject, id = self._here or ("", "")
        if subject == "card":
            return topic_of(id)
        return (id, "") if id in pages() else None

    def opens(self) -> Stage | None:
        """The cards of the category under the cursor, or the page of the card there."""
        subject, id = self._here or ("", "")
        if subject == "category":
            return Symbol(self.look, WITHIN + id)
        if subject != "card":
            return None
        cards = tuple(card for kind, card in self._targets if kind == "card")
        self._page = CardPage(self.look, id, cards)
        return self._page
