"""One symbol: where it stands, how it came there, and every card behind its bias."""

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget

from cockpit.screens.card import CardPage, topic_of
from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.about import About
from cockpit.widgets.bars import Header
from cockpit.widgets.breakdown import Breakdown
from cockpit.widgets.cards import CardHeads, Cards
from cockpit.widgets.chart import BiasChart, PriceChart
from cockpit.widgets.filter import FilterLine
from cockpit.widgets.ranks import ORDERS, Ranked, rank
from cockpit.widgets.scene import Scene
from cockpit.widgets.total import Total

SIDE = ((220, 50), (120, 38))
CHARTS = ((48, 14), (36, 10), (28, 7), (0, 6))


class Symbol(Stage):
    """The symbol under the cursor, and a cursor of its own in the list of cards.

    `within`: the filter it is opened with, so that going back need not clear it first.
    """

    kind = "symbol"
    wants = frozenset({"readings", "bars"})

    def __init__(self, look: Look, within: str = "") -> None:
        super().__init__(look)
        self.filter = self._within = within
        self._page: CardPage | None = None
        self.order = ORDERS[0]
        self.reverse = False
        self.side = True
        self._symbol = ""

    def parts(self) -> ComposeResult:
        look = self.look
        yield Header(look, id="header")
        yield About(look, surface="panel", id="about")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                with Container(id="charts"):
                    yield PriceChart(look, id="price")
                    yield BiasChart(look, id="bias")
                yield CardHeads(look, id="card-heads")
                yield Cards(look, id="cards")
                yield Total(look, id="sum")
            yield Breakdown(look, id="side")
        yield FilterLine("part of a card or category, in:order_flow for one alone")
        yield self.bar()

    def shown(self) -> tuple[Widget, ...]:
        names = ("header", "about", "price", "bias", "card-heads", "cards", "sum", "side", "footer")
        return tuple(self.query_one(f"#{name}") for name in names)

    def show(self, scene: Scene) -> None:
        if self.is_mounted:
            cards, total, heads = self._cards, self.query_one(Total), self.query_one(CardHeads)
            cards.order = heads.order = self.order
            cards.reverse = heads.reverse = self.reverse
            cards.search = total.search = self.filter
            if scene.current and scene.current.id != self._symbol:
                self._symbol = scene.current.id
                cards.to_top()
            if self._page is not None:
                cards.cursor, self._page = self._page.card, None
        super().show(scene)

    def fit_to(self, width: int, height: int) -> None:
        side = next((size for least, size in SIDE if width >= least), 0)
        panel = self.query_one("#side")
        panel.display = bool(side) and self.side
        panel.styles.width = side or 1
        self.query_one("#charts").styles.height = next(n for least, n in CHARTS if height >= least)

    def toggle_side(self) -> bool:
        """Show or hide the categories; False where there is no room beside the cards."""
        if self.size.width < SIDE[-1][0]:
            return False
        self.side = not self.side
        self.fit_to(*self.size)
        self.call_after_refresh(self.again)
        return True

    def reorder(self, step: int) -> None:
        self.reverse = False
        self.order = ORDERS[(ORDERS.index(self.order) + step) % len(ORDERS)]
        self._cards.to_top()

    def turn(self) -> None:
        self.reverse = not self.reverse
        self._cards.to_top()

    def on_card_heads_chosen(self, event: CardHeads.Chosen) -> None:
        if event.order == self.order:
            self.turn()
        else:
            self.reorder(ORDERS.index(event.order) - ORDERS.index(self.order))
        self.again()

    def move(self, rows: int) -> bool:
        if ranked := self._ranked():
            self._cards.step(rows, ranked)
            self.again()
        return True

    def page(self, direction: int) -> bool:
        return self.move(direction * (self._cards.size.height - 1))

    def on_cards_picked(self) -> None:
        self.again()

    def clear_filter(self) -> bool:
        given = self.filter == self._within and not self.has_class("-filtering")
        return not given and super().clear_filter()

    def topic(self) -> tuple[str, str] | None:
        ranked = self._ranked()
        here = ranked.cards[self._cards.place_in(ranked)] if ranked and ranked.cards else None
        return topic_of(here.card) if here else None

    def opens(self) -> Stage | None:
        """The page of the card under the cursor."""
        ranked = self._ranked()
        if ranked is None or not ranked.cards:
            return None
        ids = tuple(card.card for card in ranked.cards)
        self._page = CardPage(self.look, ids[self._cards.place_in(ranked)], ids)
        return self._page

    def _ranked(self) -> Ranked | None:
        """The cards as they are listed, also before they have been."""
        return rank(self.scene, self.order, self.filter, self.reverse) if self.scene else None

    @property
    def _cards(self) -> Cards:
        return self.query_one("#cards", Cards)
