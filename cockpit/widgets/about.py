"""About: three lines on one symbol: market, the bias of each mode, what the decision is worth."""

from rich.segment import Segment

from cockpit.theme import Ink
from cockpit.widgets import keys, marks, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene, composite, is_stale
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import MODES, Composite, SymbolState


class About(Lines):
    """Where the symbol stands."""

    def show(self, scene: Scene) -> None:
        state = scene.current
        if state is None:
            self.show_lines([])
            return
        ink = self.look.ink("panel", is_stale(state))
        found = composite(state, scene.mode)
        self.show_lines(
            [self._market(state, ink), self._modes(state, scene.mode, ink),
             self._worth(state, scene.mode, found, ink)]
        )  # fmt: skip

    def _line(self, cells: list[Cell], ink: Ink) -> Line:
        """As many cells as there is room for, the first ones first."""
        line: list[Cell] = [(Segment(" ", ink["blank"]),)]
        room = self.size.width - 1
        for one in cells:
            size = sum(len(s.text) for s in one)
            if size > room:
                break
            line.append(one)
            room -= size
        return (*line, cell("", room, ink["blank"]))

    def _market(self, state: SymbolState, ink: Ink) -> Line:
        price, none = state.price, self.look.glyphs.none
        places = price.decimals
        change = text.percent(price.change_24h)
        tone = "muted" if not change else "down1" if change[0] == "-" else "up1"
        sides = text.usd(state.long_liquidated), text.usd(state.short_liquidated)
        funding = keys.funding(state, "")
        named = (
            ("bid", text.price(price.bid, places)), ("ask", text.price(price.ask, places)),
            ("funding", funding), ("OI 1h", text.percent(state.oi_change_1h)),
            ("liq L/S", None if sides == (None, None) else "/".join(s or none for s in sides)),
        )  # fmt: skip
        cells: list[Cell] = [
            (Segment(f"{text.clean(state.id)}  ", ink["strong"]),),
            (Segment(f"{text.price(price.last, places) or none}  ", ink["strong"]),),
            (Segment(f"{change or none} ", ink[tone]), Segment("24h   ", ink["dim"])),
            (Segment(self._age(state), ink["warn" if is_stale(state) else "dim"]),),
        ]
        for name, value in named:
            cells.append(
                (Segment(f"{name} ", ink["dim"]),
                 Segment(f"{value or none}   ", ink["text" if value else "faint"]))
            )  # fmt: skip
        return self._line(cells, ink)

    def _age(self, state: SymbolState) -> str:
        shown = text.age(state.price.age)
        if shown is None:
            return "no data   "
        return "live   " if shown == "now" else f"{shown} old   "

    def _modes(self, state: SymbolState, active: str, ink: Ink) -> Line:
        cells: list[Cell] = []
        share = (self.size.width - 1) // len(MODES)
        roomy = share >= 30
        for mode in MODES:
            found = composite(state, mode)
            bias = found.bias if found else None
            call = keys.decision(state, mode)
            words, tone = ("no bias", "dim")
            if isinstance(call, tuple):
                words, tone = call[0 if roomy else 1], call[2]
            half = max(2, min(10, (share - 6 - 5 - (13 if roomy else 8) - 2) // 2))
            drawn = marks.bar(bias, half, self.look.glyphs, ink)
            size = sum(len(s.text) for s in drawn)
            cells.append(
                (*cell(mode, 6, ink["accent" if mode == active else "dim"]), *drawn,
                 *cell(text.signed(bias) or "", 5, ink[marks.tone(bias)], "right"),
                 *cell(f" {words}", share - 6 - size - 5, ink[tone]))
            )  # fmt: skip
        return self._line(cells, ink)

    def _worth(self, state: SymbolState, mode: str, found: Composite | None, ink: Ink) -> Line:
        if found is None or not found.ts:
            return self._line([cell("no decision yet in this mode", 40, ink["muted"])], ink)
        glyphs = self.look.glyphs
        word, tone = keys.state_text(found.state)
        arrows = [marks.arrow(side, glyphs) for side in found.agreement_by_window.values()]
        agreed = glyphs.none if found.agreement is None else f"{found.agreement:.0%}"
        odds = "not calibrated"
        if found.calibrated and found.confidence is not None:
            odds = f"confidence {found.confidence:.0%}"
        cells: list[Cell] = [
            (Segment(f"{word}  ", ink[tone]),),
            _named("conviction", f"~{found.conviction:.0f}", ink),
            (Segment(f"{odds}  ", ink["warn" if odds.startswith("not") else "text"]),),
            _named("coverage", f"{found.coverage:.0%}", ink),
            (*marks.runs(arrows, ink), Segment("  ", ink["blank"])),
            _named("cards", f"{found.available}/{found.total}", ink),
            _named("agreement", agreed, ink),
        ]
        if found.expected_move_bps is not None:
            cells.append(_named("expected move", f"{found.expected_move_bps:.0f} bps", ink))
        if found.cost_bps is not None:
            cells.append(_named("round trip", f"{found.cost_bps:.1f} bps", ink))
        if found.peers_agree is not None:
            cells.append(_named("peers agree", f"{found.peers_agree:.0%}", ink))
        return self._line(cells, ink)


def _named(name: str, value: str, ink: Ink) -> Cell:
    return Segment(f"{name} ", ink["dim"]), Segment(f"{value}  ", ink["text"])
