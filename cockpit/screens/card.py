"""One card: how its raw measures become points of the bias, and what it means."""

from cockpit.screens.academy import Academy
from cockpit.screens.explained import Pairs
from cockpit.screens.stage import Page, Stage, step_link
from cockpit.theme import Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.sheet import Sheet, entry

MEASURED: Pairs = (
    ("centre, scale", "of the raw measure's own past, as they were at the decision"),
    ("samples n", "independent ones its past holds; n / (n + 30) is its sufficiency"),
    ("fresh", "1 up to the silence its input is allowed, 0 from three times that"),
    ("suff", "sufficiency: mean over the windows by their weights"),
    ("agree", "agreement, as above: the three make the confidence"),
    ("S'", "sum of all contributions over that of all weights, and context"),
)


class CardPage(Page):
    """A card of the symbol under the cursor; left and right go through `cards`, its list.

    `card` is the one that is shown, which the list's cursor follows.
    """

    kind = "card"

    def __init__(self, look: Look, card: str, cards: tuple[str, ...]) -> None:
        super().__init__(look)
        self.card = card
        self._cards = cards
        self._chosen = -1

    @property
    def wants(self) -> frozenset[str]:
        return frozenset({"readings", "transitions"})

    def explains(self) -> Pairs:
        return MEASURED + super().explains()

    def body(self) -> Lines:
        return Sheet(self.look, id="whole")

    @property
    def _sheet(self) -> Sheet:
        return self.query_one("#whole", Sheet)

    def show(self, scene: Scene) -> None:
        if self.is_mounted:
            sheet = self._sheet
            sheet.card, sheet.chosen = self.card, self._chosen
            sheet.place_said = f"card {self._cards.index(self.card) + 1} of {len(self._cards)}"
        super().show(scene)

    def aside(self, step: int) -> bool:
        at = self._cards.index(self.card) + step
        if 0 <= at < len(self._cards) and self.is_mounted:
            self.card, self._chosen = self._cards[at], -1
            self._sheet.to_line(0)
        return True

    def link(self, step: int) -> None:
        if not self.is_mounted:
            return
        sheet = self._sheet
        self._chosen = step_link(self._chosen, step, len(sheet.links))
        self.again()
        if self._chosen >= 0:
            sheet.reveal(sheet.line_of(self._chosen))
            self.again()

    def topic(self) -> tuple[str, str] | None:
        return topic_of(self.card)

    def opens(self) -> Stage | None:
        links = self._sheet.links if self.is_mounted else ()
        if 0 <= self._chosen < len(links):
            link = links[self._chosen]
            return Academy(self.look, (link.page, link.anchor))
        topic = self.topic()
        return Academy(self.look, topic) if topic else None


def topic_of(card: str) -> tuple[str, str] | None:
    """Where the academy tells of a card."""
    found = entry(card)
    return (found.category, found.id) if found else None
