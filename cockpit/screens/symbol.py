"""One symbol: where it stands, how it came there, and every card behind its bias; tab by tab."""

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget

from cockpit.screens.card import CardPage, topic_of
from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets import tabs
from cockpit.widgets.about import About
from cockpit.widgets.abroad import Venues
from cockpit.widgets.bars import Header
from cockpit.widgets.breakdown import Breakdown
from cockpit.widgets.candles import SPANS, Candles
from cockpit.widgets.cards import CardHeads, Cards
from cockpit.widgets.chart import BiasChart, PriceChart
from cockpit.widgets.filter import FilterLine
from cockpit.widgets.flow import WINDOWS, Flow
from cockpit.widgets.ladder import Ladder
from cockpit.widgets.past import Past
from cockpit.widgets.positioning import Positioning
from cockpit.widgets.ranks import ORDERS, Ranked, rank
from cockpit.widgets.scene import Scene
from cockpit.widgets.tabs import Tabs
from cockpit.widgets.total import Total
from engine.snapshot import BAR_SPANS

NS = 1_000_000_000
SIDE = ((220, 50), (120, 38))
CHARTS = ((48, 14), (36, 10), (28, 7), (0, 6))
# Rows from which a small chart has room for candles.
ROOMY = 10
CARDS, CHART, FLOW, _BOOK, _POSITIONING, _VENUES, HISTORY = range(len(tabs.NAMES))
# What each tab needs of a detail, besides the bars of a chart and the window of a footprint.
PARTS = (
    frozenset({"readings"}),
    frozenset({"swings", "levels", "liquidation_map", "history"}),
    frozenset({"cvd", "tape"}),
    frozenset({"books", "walls"}),
    frozenset({"positioning"}),
    frozenset({"venues"}),
    frozenset({"history", "transitions"}),
)
BODIES = ("tab-cards", "tab-chart", "tab-flow", "tab-book", "tab-positioning", "tab-venues",
          "tab-history")  # fmt: skip
LISTED = ("header", "about", "tabs", "footer")
OF_CARDS = ("price", "candles", "bias", "card-heads", "cards", "sum")
HINTS = {CHART: "+ - bars  , . time", FLOW: "+ - window", HISTORY: "j k scroll"}


class Symbol(Stage):
    """The symbol under the cursor, and a cursor of its own in the list of cards.

    `within`: the filter it is opened with, so that going back need not clear it first.
    """

    kind = "symbol"

    def __init__(self, look: Look, within: str = "") -> None:
        super().__init__(look)
        self.filter = self._within = within
        self._page: CardPage | None = None
        self.order = ORDERS[0]
        self.reverse = False
        self.side = True
        self.tab = CARDS
        self.span = SPANS[0]
        self.end: int | None = None
        self.window = "5m"
        self._symbol = ""

    @property
    def wants(self) -> frozenset[str]:
        """What the open tab shows."""
        parts = PARTS[self.tab]
        if self.tab == CHART or (self.tab == CARDS and self._roomy):
            until = "" if self.end is None else f"@{self.end}"
            parts |= {f"bars:{self.span}{until}"}
        elif self.tab == CARDS:
            parts |= {"bars"}
        elif self.tab == FLOW:
            parts |= {f"footprint:{self.window}"}
        return parts

    def parts(self) -> ComposeResult:
        look = self.look
        yield Header(look, id="header")
        yield About(look, surface="panel", id="about")
        yield Tabs(look, id="tabs")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                with Vertical(id="tab-cards"):
                    with Container(id="charts"):
                        yield PriceChart(look, id="price")
                        yield Candles(look, whole=False, id="candles")
                        yield BiasChart(look, id="bias")
                    yield CardHeads(look, id="card-heads")
                    yield Cards(look, id="cards")
                    yield Total(look, id="sum")
                yield Candles(look, id="tab-chart")
                yield Flow(look, id="tab-flow")
                yield Ladder(look, id="tab-book")
                yield Positioning(look, id="tab-positioning")
                yield Venues(look, id="tab-venues")
                yield Past(look, id="tab-history")
            yield Breakdown(look, id="side")
        yield FilterLine("part of a card or category, in:order_flow for one alone")
        yield self.bar()

    def on_mount(self) -> None:
        self._open_tab()

    def shown(self) -> tuple[Widget, ...]:
        body = OF_CARDS if self.tab == CARDS else (BODIES[self.tab],)
        side = ("side",) if self.tab == CARDS else ()
        return tuple(self.query_one(f"#{name}") for name in (*LISTED, *body, *side))

    def show(self, scene: Scene) -> None:
        if self.is_mounted:
            self._tell(scene)
        super().show(scene)

    def _tell(self, scene: Scene) -> None:
        """Tell the widgets what the user has chosen."""
        cards, total, heads = self._cards, self.query_one(Total), self.query_one(CardHeads)
        cards.order = heads.order = self.order
        cards.reverse = heads.reverse = self.reverse
        cards.search = total.search = self.filter
        if scene.current and scene.current.id != self._symbol:
            self._symbol, self.end = scene.current.id, None
            cards.to_top()
            self.query_one(Past).top = 0
        if self._page is not None:
            cards.cursor, self._page = self._page.card, None
        line = self.query_one(Tabs)
        line.chosen, line.hint = self.tab, HINTS.get(self.tab, "")
        for chart in self.query(Candles):
            chart.span, chart.end = self.span, self.end
        self.query_one(Flow).window = self.window

    def fit_to(self, width: int, height: int) -> None:
        side = next((size for least, size in SIDE if width >= least), 0)
        panel = self.query_one("#side")
        panel.display = bool(side) and self.side and self.tab == CARDS
        panel.styles.width = side or 1
        rows = next(n for least, n in CHARTS if height >= least)
        self.query_one("#charts").styles.height = rows
        self.query_one("#price").display = rows < ROOMY
        self.query_one("#candles").display = rows >= ROOMY

    @property
    def _roomy(self) -> bool:
        """Whether candles stand above the cards."""
        return next(n for least, n in CHARTS if self.size.height >= least) >= ROOMY

    # Tabs

    def link(self, step: int) -> None:
        """Open the next tab, or the one before."""
        self._choose((self.tab + step) % len(tabs.NAMES))

    def on_tabs_chosen(self, event: Tabs.Chosen) -> None:
        self._choose(event.place)

    def _choose(self, place: int) -> None:
        if place != self.tab:
            self.tab = place
            self._open_tab()
            self.query_one(Tabs).chosen = place
            self.app.paint()  # type: ignore[attr-defined]
            self.call_after_refresh(self.app.paint)  # type: ignore[attr-defined]

    def _open_tab(self) -> None:
        for place, name in enumerate(BODIES):
            self.query_one(f"#{name}").display = place == self.tab
        self.fit_to(*self.size)

    # Time

    def zoom(self, step: int) -> None:
        """Shorter bars (+1) or longer ones; of a footprint, a shorter window or a longer."""
        if self.tab == FLOW:
            place = WINDOWS.index(self.window) - step
            self.window = WINDOWS[max(0, min(len(WINDOWS) - 1, place))]
        elif self._chart is not None:
            place = SPANS.index(self.span) - step
            self.span = SPANS[max(0, min(len(SPANS) - 1, place))]

    def pan(self, step: int) -> None:
        """Scroll the chart by a third of what it shows, no further back than bars are kept."""
        chart, scene = self._chart, self.scene
        if chart is None or scene is None:
            return
        length, now = BAR_SPANS[self.span] * NS, scene.snapshot.ts
        newest = -(-now // length) * length
        end = (self.end or newest) + step * max(1, chart.columns // 3) * length
        oldest = scene.detail.oldest if scene.detail is not None else None
        if step < 0 and oldest is not None:
            end = max(end, min(newest, oldest + chart.columns // 2 * length))
        self.end = None if end >= newest else end // length * length

    @property
    def _chart(self) -> Candles | None:
        """The chart in view."""
        if self.tab == CHART:
            return self.query_one("#tab-chart", Candles)
        if self.tab == CARDS and self._roomy:
            return self.query_one("#candles", Candles)
        return None

    def on_candles_wheeled(self, event: Candles.Wheeled) -> None:
        if event.zoom:
            self.zoom(event.step)
        else:
            self.pan(event.step)
        self.app.paint()  # type: ignore[attr-defined]

    # Cards

    def toggle_side(self) -> bool:
        """Show or hide the categories; False where there is no room beside the cards."""
        if self.size.width < SIDE[-1][0] or self.tab != CARDS:
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
        if self.tab == HISTORY:
            self.query_one(Past).scroll_by(rows)
            self.again()
        elif self.tab == CARDS and (ranked := self._ranked()):
            self._cards.step(rows, ranked)
            self.again()
        return True

    def page(self, direction: int) -> bool:
        return self.move(direction * max(1, self._cards.size.height - 1))

    def on_cards_picked(self) -> None:
        self.again()

    def ask_filter(self) -> None:
        """The filter is one of cards: they are opened for it."""
        self._choose(CARDS)
        super().ask_filter()

    def clear_filter(self) -> bool:
        given = self.filter == self._within and not self.has_class("-filtering")
        return not given and super().clear_filter()

    def topic(self) -> tuple[str, str] | None:
        ranked = self._ranked() if self.tab == CARDS else None
        here = ranked.cards[self._cards.place_in(ranked)] if ranked and ranked.cards else None
        return topic_of(here.card) if here else None

    def opens(self) -> Stage | None:
        """The page of the card under the cursor."""
        ranked = self._ranked() if self.tab == CARDS else None
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
