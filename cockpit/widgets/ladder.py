"""Book: every venue's touch side by side, and depth by distance from the mid, combined."""

from collections.abc import Sequence

from rich.segment import Segment

from cockpit.theme import Ink
from cockpit.widgets import marks, text
from cockpit.widgets.scene import Scene
from cockpit.widgets.tables import (
    Column,
    Tab,
    blank,
    fitting,
    heading,
    heads,
    known,
    old,
    row,
    said_age,
    sides,
)
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import DEPTH_BPS, Detail, VenueBook, Wall

NEAR, WIDE = 10.0, 50.0
# Rows from which every venue's depth has a table of its own.
LEAST_MATRIX = 11
# A book that nothing was heard of for so long is no book, s.
STALE = 30.0


def within(book: VenueBook, bps: float) -> tuple[float | None, float | None]:
    """USD of bids and asks up to a distance from the mid; None where it is not known so far."""
    count = DEPTH_BPS.index(bps) + 1
    sums = [
        None if None in side[:count] else sum(usd or 0.0 for usd in side[:count])
        for side in (book.bids, book.asks)
    ]
    return sums[0], sums[1]


def imbalance(bids: float | None, asks: float | None) -> float | None:
    """(bids - asks) / (bids + asks) in -100..+100."""
    if bids is None or asks is None or not bids + asks:
        return None
    return 100 * (bids - asks) / (bids + asks)


def spread(book: VenueBook) -> float | None:
    """In bps of the mid."""
    if book.bid is None or book.ask is None:
        return None
    return (book.ask - book.bid) / (book.ask + book.bid) * 2e4


def combined(books: Sequence[VenueBook], now: int) -> tuple[list[float | None], list[float | None]]:
    """Depth by distance over perpetual venues that are whole and fresh; None where none is."""
    live = [b for b in books if b.synced and not b.spot and not _stale(b, now)]
    out = []
    for side in ("bids", "asks"):
        rows = [getattr(book, side) for book in live]
        each = []
        for n in range(len(DEPTH_BPS)):
            told = [r[n] for r in rows if r[n] is not None]
            each.append(sum(told) if told else None)
        out.append(each)
    return out[0], out[1]


def _stale(book: VenueBook, now: int) -> bool:
    seconds = old(book.ts, now)
    return seconds is None or seconds > STALE


class Ladder(Tab):
    """The tab of books."""

    part = "books"

    def there(self, detail: Detail) -> bool:
        return bool(detail.books)

    def made(self, scene: Scene, detail: Detail) -> list[Line]:
        now = scene.snapshot.ts
        decimals = scene.current.price.decimals if scene.current else 2
        books = detail.books or ()
        if self.width >= 150:
            left = 92
            table = self._venues(books, now, decimals, left)
            depth = self._depth(books, detail.walls or (), scene, self.width - left, self.height)
            table += self._matrix(books, now, left, self.height - len(table))
            return sides([(left, table), (self.width - left, depth)], self.height, self.ink)
        table = self._venues(books, now, decimals, self.width)
        room = self.height - len(table) - 1
        if room < 4:
            return table[: self.height]
        depth = self._depth(books, detail.walls or (), scene, self.width, room)
        lines = [*table, blank(self.width, self.ink), *depth]
        return [*lines, *self._matrix(books, now, self.width, self.height - len(lines))]

    # Venues

    def _venues(self, books: Sequence[VenueBook], now: int, decimals: int,
                width: int) -> list[Line]:  # fmt: skip
        columns = fitting(self._columns(now, decimals), width)
        lines = [heads(columns, width, self.ink)]
        for book in books:
            ink = self.look.ink(stale=not book.synced or _stale(book, now))
            lines.append(row(book, columns, width, ink))
        return lines

    def _columns(self, now: int, decimals: int) -> list[Column[VenueBook]]:
        none = self.none

        def price(field: str) -> Column[VenueBook]:
            def draw(book: VenueBook, size: int, ink: Ink) -> Cell:
                return known(text.price(getattr(book, field), decimals), size, ink, none=none)

            return Column(field, 11, draw, rank=1)

        def depth(bps: float, side: int, rank: int) -> Column[VenueBook]:
            def draw(book: VenueBook, size: int, ink: Ink) -> Cell:
                said = text.usd(within(book, bps)[side])
                return known(said, size, ink, ("up1", "down1")[side], none=none)

            return Column(f"{('bid', 'ask')[side]} {bps:.0f}bp", 8, draw, rank=rank)

        def tilt(bps: float, rank: int) -> Column[VenueBook]:
            def draw(book: VenueBook, size: int, ink: Ink) -> Cell:
                value = imbalance(*within(book, bps))
                return known(text.signed(value), size, ink, marks.tone(value), none=none)

            return Column(f"imb {bps:.0f}", 6, draw, rank=rank)

        return [
            Column("venue", 13, _venue, "left"),
            price("bid"), price("ask"),
            Column("spread", 6, lambda b, n, ink: known(_bps(spread(b)), n, ink, "muted",
                                                        none=none), rank=2),
            depth(NEAR, 0, 3), depth(NEAR, 1, 3), tilt(NEAR, 2),
            depth(WIDE, 0, 5), depth(WIDE, 1, 5), tilt(WIDE, 6),
            Column("age", 5, lambda b, n, ink: said_age(old(b.ts, now), n, ink, STALE, none),
                   rank=4),
        ]  # fmt: skip

    # Depth

    def _depth(self, books: Sequence[VenueBook], walls: Sequence[Wall], scene: Scene, width: int,
               height: int) -> list[Line]:  # fmt: skip
        now = scene.snapshot.ts
        bids, asks = combined(books, now)
        live = [b.venue for b in books if b.synced and not b.spot and not _stale(b, now)]
        said = f"{len(live)} perpetual venues, each from its own mid, as far as known"
        lines = [heading("combined depth", width, self.look, said)]
        told = self._walls(walls, scene, width)
        lines += self._rows(bids, asks, width, max(1, height - 1 - len(told)))
        return [*lines, *told][:height]

    def _rows(self, bids: list[float | None], asks: list[float | None], width: int,
              room: int) -> list[Line]:  # fmt: skip
        """Nearest first; neighbours together where there is no room for each."""
        groups = _groups(room)
        pairs = [(_total(bids, g), _total(asks, g), DEPTH_BPS[g[-1]]) for g in groups]
        full = max((x for b, a, _ in pairs for x in (b, a) if x is not None), default=0.0)
        half = min(60, (width - 6 - 2 * 8) // 2)
        lines: list[Line] = []
        for bid, ask, far in pairs:
            lines.append(
                (
                    cell("", 1, self.ink["blank"]),
                    known(text.usd(bid), 7, self.ink, "muted", none=self.none),
                    self._bar(bid, full, half - 1, -1),
                    cell(f"{far:g}bp", 6, self.ink["dim"], "centre"),
                    self._bar(ask, full, half - 1, 1),
                    known(text.usd(ask), 7, self.ink, "muted", none=self.none),
                    cell("", max(0, width - 1 - 2 * 7 - 6 - 2 * (half - 1)), self.ink["blank"]),
                )
            )
        return lines

    def _matrix(self, books: Sequence[VenueBook], now: int, width: int,
                room: int) -> list[Line]:  # fmt: skip
        """Depth of every venue by distance: asks from afar down to the mid, then bids."""
        if room < LEAST_MATRIX:
            return []
        groups = _groups((room - 3) // 2)
        shown = books[: (width - 8) // 9]
        names = [cell(b.venue[:8], 9, self.ink["dim"], "right") for b in shown]
        rest = cell("", width - 8 - 9 * len(shown), self.ink["blank"])
        lines: list[Line] = [blank(width, self.ink),
                             (cell(" away", 8, self.ink["dim"]), *names, rest)]  # fmt: skip
        rows = [("asks", "down1", "+", g) for g in reversed(groups)]
        rows += [("bids", "up1", "-", g) for g in groups]
        for side, tone, sign, group in rows:
            cells = []
            for book in shown:
                ink = self.look.ink(stale=_stale(book, now))
                usd = _total(list(getattr(book, side)), group)
                cells.append(known(text.usd(usd), 9, ink, tone, none=self.none))
            away = cell(f" {sign}{DEPTH_BPS[group[-1]]:g}bp", 8, self.ink["dim"])
            lines.append((away, *cells, rest))
        return lines

    def _bar(self, usd: float | None, full: float, width: int, way: int) -> Cell:
        glyphs = self.look.glyphs
        steps = round((usd or 0.0) / full * 2 * (width - 1)) if full else 0
        whole, part = divmod(steps, 2)
        if way > 0:
            drawn = (glyphs.full * whole + glyphs.half_left * part).ljust(width)
        else:
            drawn = (glyphs.half_right * part + glyphs.full * whole).rjust(width)
        return (Segment(drawn, self.ink["down1" if way > 0 else "up1"]),)

    def _walls(self, walls: Sequence[Wall], scene: Scene, width: int) -> list[Line]:
        """The nearest wall of each side, how far away and how old."""
        price = scene.current.price if scene.current else None
        if not walls:
            said = "no wall within reach on the reference venue"
            return [(cell(f" {said}", width, self.ink["dim"]),)]
        lines: list[Line] = []
        for wall in walls:
            at = text.price(wall.price, price.decimals if price else 2) or ""
            away = ""
            if price is not None and price.last:
                away = f"{(wall.price / price.last - 1) * 1e4:+.1f}bp"
            said = f"{at:>11}  {away:>8}  {text.usd(wall.usd):>6}  stands {text.age(wall.seconds)}"
            tone = "down1" if wall.side == "ask" else "up1"
            lines.append(
                (cell(f" {wall.side} wall ", 10, self.ink[tone]),
                 cell(said, max(0, width - 10), self.ink["text"]))
            )  # fmt: skip
        return lines


def _groups(room: int) -> list[range]:
    """Neighbouring distances together, so that there are as many as there is room for."""
    each = -(-len(DEPTH_BPS) // max(1, room))
    return [range(n, min(n + each, len(DEPTH_BPS))) for n in range(0, len(DEPTH_BPS), each)]


def _total(side: list[float | None], group: range) -> float | None:
    told = [side[n] for n in group]
    return None if None in told else sum(usd or 0.0 for usd in told)


def _venue(book: VenueBook, size: int, ink: Ink) -> Cell:
    said = book.venue if book.synced else f"{book.venue} !"
    return cell(said if not book.spot else f"{book.venue} spot", size, ink["text"])


def _bps(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"
