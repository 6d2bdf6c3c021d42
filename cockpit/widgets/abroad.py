"""Venues: the price of each against the reference's, who leads, what is paid, what is heard."""

from cockpit.theme import Ink
from cockpit.widgets import marks, text
from cockpit.widgets.positioning import FUNDING_SCALE, rate
from cockpit.widgets.scene import Scene
from cockpit.widgets.tables import (
    Column,
    Tab,
    blank,
    fitting,
    heads,
    is_old,
    known,
    old,
    row,
    said_age,
)
from cockpit.widgets.text import Cell, Line, cell, wrap
from engine.snapshot import Detail, FeedHealth, VenuePrice

STALE = 60.0
# A premium of 5 bps is coloured as strongly as a bias of 50.
PREMIUM_SCALE = 10.0
FULL_BPS = 10.0
SAID = (
    "premium: bps over the reference, now and the mean of two minutes, spot dollars through "
    "USDT/USD. lead: how much a venue's 1 s returns of two minutes run ahead of the reference's, "
    "0 to 1."
)


class Venues(Tab):
    """The tab of venues."""

    part = "venues"

    def there(self, detail: Detail) -> bool:
        return bool(detail.venues)

    def made(self, scene: Scene, detail: Detail) -> list[Line]:
        now = scene.snapshot.ts
        decimals = scene.current.price.decimals if scene.current else 2
        columns = fitting(self._columns(now, decimals, scene.feeds), self.width)
        lines = [heads(columns, self.width, self.ink)]
        for venue in detail.venues or ():
            stale = is_old(old(venue.trade_ts, now), STALE) and is_old(old(venue.quote_ts, now))
            lines.append(row(venue, columns, self.width, self.look.ink(stale=stale)))
        lines.append(blank(self.width, self.ink))
        said = wrap(SAID, max(20, min(self.width - 2, 100)))
        lines += [(cell(f" {words}", self.width, self.ink["dim"]),) for words in said]
        return lines[: self.height]

    def _columns(self, now: int, decimals: int,
                 feeds: dict[str, FeedHealth]) -> list[Column[VenuePrice]]:  # fmt: skip
        none, glyphs = self.none, self.look.glyphs

        def price(v: VenuePrice, size: int, ink: Ink) -> Cell:
            return known(text.price(v.price, decimals), size, ink, none=none)

        def premium(field: str, head: str, rank: int) -> Column[VenuePrice]:
            def draw(v: VenuePrice, size: int, ink: Ink) -> Cell:
                value = getattr(v, field)
                tone = marks.tone(None if value is None else value * PREMIUM_SCALE)
                said = "reference" if v.reference else text.signed(value, 2)
                return known(said, size, ink, "dim" if v.reference else tone, none=none)

            return Column(head, 9, draw, rank=rank)

        def bar(v: VenuePrice, size: int, ink: Ink) -> Cell:
            if v.reference:
                return cell("", size, ink["blank"])
            return marks.bar(v.premium_mean, size // 2, glyphs, ink, FULL_BPS)

        def lead(v: VenuePrice, size: int, ink: Ink) -> Cell:
            said = None if v.lead is None else text.fraction(v.lead)
            tone = "accent" if (v.lead or 0.0) >= 0.2 else "muted"
            return known(said, size, ink, tone, none=none)

        def funding(v: VenuePrice, size: int, ink: Ink) -> Cell:
            tone = marks.tone(None if v.funding is None else v.funding * FUNDING_SCALE)
            return known(rate(v.funding), size, ink, tone, none=none)

        def age(field: str, head: str, rank: int, limit: float) -> Column[VenuePrice]:
            def draw(v: VenuePrice, size: int, ink: Ink) -> Cell:
                return said_age(old(getattr(v, field), now), size, ink, limit, none)

            return Column(head, 6, draw, rank=rank)

        def state(v: VenuePrice, size: int, ink: Ink) -> Cell:
            feed = feeds.get(v.venue)
            if feed is None:
                return known(None, size, ink, none=none)
            return cell(feed.state, size, ink["muted" if feed.state == "ready" else "warn"])

        return [
            Column("venue", 16, _name, "left"),
            Column("price", 11, price, rank=1),
            premium("premium", "premium", 1), premium("premium_mean", "2m mean", 3),
            Column("", 13, bar, "left", rank=6), Column("lead", 5, lead, rank=2),
            Column("funding 8h", 10, funding, rank=4),
            age("trade_ts", "trade", 2, STALE), age("quote_ts", "quote", 6, 15.0),
            age("book_ts", "book", 5, 15.0),
            Column("feed", 10, state, "left", rank=4),
        ]  # fmt: skip


def _name(venue: VenuePrice, size: int, ink: Ink) -> Cell:
    said = f"{venue.venue} spot" if venue.spot else venue.venue
    return cell(said, size, ink["strong" if venue.reference else "text"])
