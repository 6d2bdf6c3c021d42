"""Cards: every reading of a symbol as a row, from the raw measure to points of the bias."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rich.segment import Segment
from textual import events
from textual.message import Message

from cockpit.theme import Glyphs, Ink, Look
from cockpit.widgets import keys, marks, text
from cockpit.widgets.lines import Drawn, Lines
from cockpit.widgets.ranks import ORDERS, Ranked, rank
from cockpit.widgets.scene import Scene, composite
from cockpit.widgets.states import Said, centred
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Reading

# What is added or widened, most wanted first, as in the grid.
STEPS: tuple[tuple[str, int], ...] = (
    ("name", 18), ("points", 7), ("score", 6), ("windows", 3), ("confidence", 4), ("weight", 4),
    ("strength", 4), ("raw", 7), ("category", 10), ("age", 4), ("name", 20), ("raws", 7),
    ("name", 24), ("bar", 11), ("scores", 7), ("category", 16), ("state", 8), ("bar", 17),
    ("name", 30),
)  # fmt: skip
ORDER = ("name", "category", "raw", "raws", "scores", "windows", "state", "score", "strength",
         "confidence", "weight", "age", "points", "bar")  # fmt: skip
HEADS = {"name": "card", "category": "category", "state": "state", "score": "score",
         "strength": "strg", "confidence": "conf", "weight": "wght", "points": "points",
         "age": "age", "bar": "", "windows": "win"}  # fmt: skip
SORTED_BY = {"contribution": "points", "score": "score", "name": "name", "category": "category"}
LEFT = frozenset({"name", "category", "state", "windows"})
LEAST_FULL = 2.0
# A card's points are coloured as a bias ten times as large would be.
STRENGTH = 10.0


@dataclass(frozen=True)
class Row:
    """One card and what its cells are drawn with."""

    reading: Reading
    points: float | None
    category: str
    full: float
    glyphs: Glyphs


@lru_cache(maxsize=64)
def layout(width: int, windows: tuple[str, ...]) -> tuple[tuple[str, str, int], ...]:
    """(column, window, width), left to right; `raws` and `scores` are one for each window."""
    taken: dict[str, int] = {}
    room = width - 1
    for name, size in STEPS:
        copies = len(windows) if name in ("raws", "scores") else 1
        freed = taken.get("raw", -1) + 1 if name == "raws" else 0
        cost = copies * (size - taken[name] if name in taken else size + 1) - freed
        if cost <= room:
            room -= cost
            taken[name] = size
            if name == "raws":
                taken.pop("raw", None)
    out: list[tuple[str, str, int]] = []
    for name in ORDER:
        if name in taken:
            middle = windows[len(windows) // 2] if windows else ""
            over = windows if name in ("raws", "scores") else (middle if name == "raw" else "",)
            out += [(name, window, taken[name]) for window in over]
    return tuple(out)


def _name(row: Row, window: str, size: int, ink: Ink) -> Cell:
    return cell(row.reading.name, size, ink["text"], "left", row.glyphs.ellipsis)


def _category(row: Row, window: str, size: int, ink: Ink) -> Cell:
    return cell(row.category, size, ink["dim"], "left", row.glyphs.ellipsis)


def _raw(row: Row, window: str, size: int, ink: Ink) -> Cell:
    shown = text.short(row.reading.raws.get(window))
    return cell(shown or row.glyphs.none, size, ink["muted" if shown else "faint"], "right")


def _scores(row: Row, window: str, size: int, ink: Ink) -> Cell:
    return marks.bar(_hundred(row.reading.scores.get(window)), size // 2, row.glyphs, ink)


def _windows(row: Row, window: str, size: int, ink: Ink) -> Cell:
    arrows = [marks.arrow(_side(score), row.glyphs) for score in row.reading.scores.values()]
    return (*marks.runs(arrows[:size], ink), Segment(" " * (size - len(arrows)), ink["blank"]))


def _state(row: Row, window: str, size: int, ink: Ink) -> Cell:
    word, tone = keys.state_text(row.reading.state)
    return cell(word, size, ink[tone])


def _score(row: Row, window: str, size: int, ink: Ink) -> Cell:
    score = row.reading.score
    shown = text.signed(score, 2) or row.glyphs.none
    return cell(shown, size, ink[marks.tone(_hundred(score))], "right")


def _share(field: str, digits: int = 2) -> Callable[[Row, str, int, Ink], Cell]:
    """Draw a fraction of the reading without its leading zero, so that columns stay narrow."""

    def draw(row: Row, window: str, size: int, ink: Ink) -> Cell:
        value = float(getattr(row.reading, field))
        shown = text.fraction(value, digits if abs(value) < 0.9995 else 2)
        return cell(shown, size, ink["muted"], "right")

    return draw


def _age(row: Row, window: str, size: int, ink: Ink) -> Cell:
    """Age of the oldest input; `?` where a gap made the value unreliable."""
    shown = text.age(row.reading.age) or row.glyphs.none
    shown = shown if row.reading.reliable else "gap"
    return cell(shown, size, ink["dim" if row.reading.reliable else "warn"], "right")


def _points(row: Row, window: str, size: int, ink: Ink) -> Cell:
    shown = text.signed(row.points, 2) or row.glyphs.none
    scaled = None if row.points is None else row.points * STRENGTH
    return cell(shown, size, ink[marks.tone(scaled)], "right")


def _bar(row: Row, window: str, size: int, ink: Ink) -> Cell:
    return marks.bar(row.points, size // 2, row.glyphs, ink, row.full)


DRAW: dict[str, Callable[[Row, str, int, Ink], Cell]] = {
    "name": _name, "category": _category, "raw": _raw, "raws": _raw, "scores": _scores,
    "windows": _windows, "state": _state, "score": _score, "strength": _share("strength"),
    "confidence": _share("confidence"), "weight": _share("weight", 3), "age": _age,
    "points": _points, "bar": _bar,
}  # fmt: skip


def _hundred(score: float | None) -> float | None:
    return None if score is None else 100 * score


def _side(score: float | None) -> int | None:
    if score is None:
        return None
    return 0 if abs(score) <= marks.DEAD_BAND else (1 if score > 0 else -1)


class CardHeads(Lines):
    """The line of heads; the column that gives the order is marked, a click on one chooses it."""

    class Chosen(Message):
        """The user wants cards in this order."""

        def __init__(self, order: str) -> None:
            super().__init__()
            self.order = order

    order = ORDERS[0]
    reverse = False
    _windows: tuple[str, ...] = ()

    def on_click(self, event: events.Click) -> None:
        left = 1
        for name, _, size in layout(self.size.width, self._windows):
            order = next((o for o, column in SORTED_BY.items() if column == name), None)
            if order and left <= event.x <= left + size:
                self.post_message(self.Chosen(order))
            left += size + 1

    def show(self, scene: Scene) -> None:
        self._windows = scene.windows
        if self.same(scene.windows, self.order, self.reverse):
            return
        arrow = self.look.glyphs.arrow_up if self.reverse else self.look.glyphs.arrow_down
        cells: list[Cell] = [cell("", 1, self.ink["blank"])]
        for name, window, size in layout(self.size.width, scene.windows):
            chosen = name == SORTED_BY[self.order]
            label = HEADS.get(name, window)
            if name in ("raw", "raws"):
                label = f"raw {window}"
            mark = arrow if chosen else ""
            align = "left" if name in LEFT else "centre" if name == "scores" else "right"
            label = f"{label}{mark}" if align == "left" else f"{mark}{label}"
            style = self.ink["accent" if chosen else "dim"]
            cells.append((*cell(label, size, style, align), Segment(" ", self.ink["blank"])))
        self.show_lines([tuple(cells)])


class Cards(Lines):
    """The rows; `order`, `reverse` and `search` are the user's choice.

    `cursor` is the card under the cursor, None for whichever is the first.
    """

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.order = ORDERS[0]
        self.reverse = False
        self.search = ""
        self.cursor: str | None = None
        self.ranked: Ranked | None = None
        self._followed: int | None = None
        self._drawn: dict[str, tuple[object, Line]] = {}

    def show(self, scene: Scene) -> None:
        state, detail = scene.current, scene.detail
        found = composite(state, scene.mode) if state else None
        held = scene.paused is not None
        wanted = self.order, self.reverse, self.search, self.cursor
        if self.same(state and state.id, scene.mode, detail, found, wanted, held):
            return
        self.ranked = rank(scene, self.order, self.search, self.reverse)
        if self.ranked is None or not self.ranked.cards:
            said = self._nothing(scene)
            self.show_lines(centred(said, *self.size, self.look, self.ink))
            return
        names = {c.id: c.name for c in scene.snapshot.categories}
        sizes = [abs(p) for p in self.ranked.points if p is not None]
        full = max(LEAST_FULL, *sizes, 0.0)
        places = layout(self.size.width, scene.windows)
        cards, points, here = self.ranked.cards, self.ranked.points, self.place_of_cursor

        def draw(y: int) -> Line:
            named = names.get(cards[y].category, cards[y].category)
            row = Row(cards[y], points[y], named, full, self.look.glyphs)
            return self._row(row, places, y == here)

        self.show_lines(Drawn(len(cards), draw))
        # A card that keeps its place leaves the view where a wheel has put it.
        if here != self._followed:
            self._followed = here
            self.reveal(here)

    @property
    def place_of_cursor(self) -> int:
        return self.place_in(self.ranked)

    def place_in(self, ranked: Ranked | None) -> int:
        """Index of the cursor's card, 0 where it is not listed."""
        cards = ranked.cards if ranked is not None else ()
        return next((n for n, card in enumerate(cards) if card.card == self.cursor), 0)

    def step(self, rows: int, ranked: Ranked) -> None:
        """Put the cursor some rows further down these cards, up where negative."""
        if ranked.cards:
            place = max(0, min(len(ranked.cards) - 1, self.place_in(ranked) + rows))
            self.cursor = ranked.cards[place].card

    def to_top(self) -> None:
        """Begin again with the first card."""
        self.cursor = self._followed = None
        self.to_line(0)

    def on_click(self, event: events.Click) -> None:
        y = event.y + self.scroll_offset.y
        if self.ranked is not None and y < len(self.ranked.cards):
            self.cursor = self.ranked.cards[y].card
            self.post_message(self.Picked())

    class Picked(Message):
        """The user clicked on a card."""

    def _nothing(self, scene: Scene) -> list[Said]:
        if self.ranked is not None:
            said = f"No card contains '{text.clean(self.search)}'"
            return [(said, "strong"), ("", "text"), ("Esc shows them again", "muted")]
        if scene.paused is not None and scene.detail is None:
            return [("The picture is held", "strong"), ("", "text"),
                    ("cards of this symbol were not kept; p lets go", "muted")]  # fmt: skip
        return [("No cards yet", "strong"), ("", "text"),
                ("they come with the first step", "muted")]  # fmt: skip

    def _row(self, row: Row, places: tuple[tuple[str, str, int], ...], here: bool) -> Line:
        key = (row, places, here)
        kept = self._drawn.get(row.reading.card)
        if kept is not None and kept[0] == key:
            return kept[1]
        ink = self.look.ink("cursor" if here else "background")
        draw = self._available if row.reading.available else self._absent
        mark = cell(row.glyphs.cursor if here else " ", 1, ink["accent"])
        line = (mark, *draw(row, places, ink))
        self._drawn[row.reading.card] = key, line
        return line

    def _available(self, row: Row, places: tuple[tuple[str, str, int], ...], ink: Ink) -> Line:
        gap = Segment(" ", ink["blank"])
        cells = ((*DRAW[name](row, window, size, ink), gap) for name, window, size in places)
        used = 1 + sum(size + 1 for _, _, size in places)
        return (*cells, cell("", max(0, self.size.width - used), ink["blank"]))

    def _absent(self, row: Row, places: tuple[tuple[str, str, int], ...], ink: Ink) -> Line:
        """Name and category as ever, then why there is no reading."""
        faded = ink | {"text": ink["dim"]}
        first = [place for place in places if place[0] in ("name", "category")]
        used = 1 + sum(size + 1 for _, _, size in first)
        gap = Segment(" ", ink["blank"])
        cells = ((*DRAW[name](row, window, size, faded), gap) for name, window, size in first)
        reason = row.reading.reason or "not available"
        room = max(0, self.size.width - used)
        said = cell(reason, room, ink["dim"], "left", row.glyphs.ellipsis)
        return (*cells, said)
