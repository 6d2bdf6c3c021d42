"""Why a bias moved, on its screen: sums that are right, keys, empty states, text at every size."""

from types import ModuleType

import msgspec
import pytest

from cockpit import academy
from cockpit.app import CockpitApp
from cockpit.screens.academy import Academy
from cockpit.screens.card import CardPage
from cockpit.screens.categories import Categories
from cockpit.screens.moved import MovedPage
from cockpit.screens.symbol import Symbol
from cockpit.widgets.moves import LEAST, Moves, told
from cockpit.widgets.ranks import WITHIN
from engine.snapshot import Composite, Detail, Move, Moved

SIZES = ((80, 24), (120, 40), (200, 50))
SECONDS = {"scalp": 30, "day": 60, "swing": 300}
FED = ("order_flow", "order_book", "volatility", "momentum", "funding", "statistical")


def share(lab: ModuleType, n: int, points: float, ids: tuple[str, ...]) -> tuple[Moved, ...]:
    """A category's change among its cards; the last has come new, the first has gone."""
    parts = [1.2 + lab.wave(n, k, 4) for k in range(len(ids))]
    out = []
    for k, (id, part) in enumerate(zip(ids, parts, strict=True)):
        change = points * part / sum(parts)
        then = None if k == len(ids) - 1 else -change if k == 0 else 0.4 * lab.wave(n, k)
        now = None if k == 0 else (then or 0.0) + change
        out.append(Moved("card", id, now, then, change))
    return tuple(out)


def move(lab: ModuleType, found: Composite, n: int, seconds: int) -> Move:
    """Of lines and categories that end where the composite stands, 60 points at most."""
    parts, cards = [], []
    ends = {id: line.contribution for id, line in found.categories.items()
            if line.contribution is not None}  # fmt: skip
    ends |= {id: 0.3 + 0.1 * k for k, id in enumerate(FED) if id not in ends}
    for k, (id, now) in enumerate(ends.items()):
        change = round(lab.wave(n + 2, k, 5) ** 3 * 9, 3)
        parts.append(Moved("category", id, now, now - change, change))
        cards += share(lab, k, change, tuple(academy.page(id).cards))
    parts += [Moved("line", id, now, now - 0.7, 0.7) for id, now in found.adjustments.items()]
    parts.append(Moved("line", "regime", 0.01, -0.02, 0.03))
    after = sum(part.now for part in parts)
    before = sum(part.then for part in parts)
    largest = tuple(sorted(parts, key=lambda p: -abs(p.points)))
    ordered = tuple(sorted(cards, key=lambda p: -abs(p.points)))
    ts = lab.TS - 10 * lab.NS
    return Move(ts, ts - seconds * lab.NS, before, after, largest, ordered)


@pytest.fixture
def app_of(lab: ModuleType) -> object:
    """The app on a source that tells moves, as far as there are biases."""

    def make(picture: str = "full", **config: object) -> CockpitApp:
        app = lab.cockpit(lab.picture(picture), **config)
        real = app.source.detail

        def detail(symbol: str, parts: frozenset[str]) -> Detail:
            made = real(symbol, parts)
            if "moves" not in parts:
                return made
            n = next(k for k, s in enumerate(app.source.snapshot.symbols) if s.id == symbol)
            state = app.source.snapshot.symbols[n]
            moves = {
                mode: move(lab, found, n + k, SECONDS[mode])
                for k, (mode, found) in enumerate(state.modes.items())
                if found.bias is not None
            }
            return msgspec.structs.replace(made, moves=moves)

        app.source.detail = detail
        return app

    return make


def sheet(app: CockpitApp) -> Moves:
    return app.screen.query_one(Moves)


CASES = {
    "moved": ((), {}),
    "moved_ascii": (("3",), {"glyphs": "ascii"}),
    "moved_cards": (("j", "j", "j", "j", "j", "j", "j", "j"), {}),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_page(case: str, size: tuple[int, int], lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    keys, config = CASES[case]
    app = app_of(**config)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "w", *keys)
        assert isinstance(app.screen, MovedPage)
        lab.compare(f"{case}_{size[0]}x{size[1]}", lab.screen_text(app))


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles(theme: str, lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of(theme=theme)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w", "j")
        lab.compare(f"styles_moved_{theme}", lab.screen_styles(app, range(1, 14)))


def test_each_column_adds_up_to_its_last_line(lab: ModuleType) -> None:
    """Whatever is named and whatever is among the others."""
    state = lab.full().symbols[0]
    for n, (mode, found) in enumerate(state.modes.items()):
        made = move(lab, found, n, SECONDS[mode])
        rows = told(made, lab.CATEGORIES, 12, 20)
        for listed in (rows.parts, rows.cards):
            *parts, whole = listed
            for column in ("then", "now", "points"):
                each = [getattr(row, column) or 0.0 for row in parts]
                assert sum(each) == pytest.approx(getattr(whole, column), abs=1e-9)
            assert all(abs(row.points) >= LEAST for row in parts if row.target)
        bias = rows.parts[-1]
        assert (bias.then, bias.now) == (made.before, made.after)
        assert bias.points == made.after - made.before
        lines = sum(p.points for p in made.parts if p.subject == "line")
        assert rows.cards[-1].points + lines == pytest.approx(bias.points)


def test_others_count_what_is_not_named(lab: ModuleType) -> None:
    made = Move(60, 0, 1.0, 1.5, (Moved("category", "order_flow", 1.4, 1.0, 0.4),
                                  Moved("category", "funding", 0.1, 0.02, 0.04)), ())  # fmt: skip
    assert [row.name for row in told(made, lab.CATEGORIES, 5, 20).parts] == [
        "Order Flow", "4 others", "bias"
    ]  # fmt: skip
    assert [row.name for row in told(made, lab.CATEGORIES, 0, 20).parts][1] == "1 other"
    still = Move(60, 0, 1.0, 1.0, (), ())
    rows = told(still, lab.CATEGORIES, 3, 20)
    assert [(row.name, row.points) for row in rows.parts] == [("3 others", 0.0), ("bias", 0.0)]
    assert [(row.name, row.points) for row in rows.cards] == [("cards", 0.0)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_what_is_shown_adds_up(size: tuple[int, int], lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    """Read off the screen, to the rounding of two digits a line."""
    app = app_of()
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "w")
        width = 58 if size[0] >= 120 else 80
        rows = [line[:width].replace("▸", " ") for line in lab.screen_text(app).splitlines()[4:]]
        end = next(n for n, row in enumerate(rows) if row.startswith(" bias"))
        assert any(row.startswith(" btc stress (context)") for row in rows)
        figures = [[float(x) for x in row.split() if x.strip("+-.").replace(".", "").isdigit()
                    and "." in x] for row in rows[: end + 1]]  # fmt: skip
        for column in range(3):
            parts = sum(row[column] for row in figures[:-1])
            assert parts == pytest.approx(figures[-1][column], abs=0.005 * (end + 1))
        head = lab.screen_text(app).splitlines()[1]
        made = app.source.detail("BTCUSDT", frozenset({"moves"})).moves["day"]
        change = made.after - made.before
        assert head.startswith(f" BTCUSDT day  {made.before:+.1f} -> {made.after:+.1f}"
                               f"  ({change:+.1f}) in 60 s, 02:38:50 -> 02:39:50")  # fmt: skip


async def test_the_zone_is_the_users(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of(timezone="Asia/Kolkata")
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        assert "08:08:50 -> 08:09:50" in lab.screen_text(app).splitlines()[1]


WAYS = {"home": (), "symbol": ("enter",), "card": ("enter", "enter"), "map": ("m",),
        "categories": ("c",), "academy": ("A",)}  # fmt: skip


@pytest.mark.parametrize("kind", WAYS)
async def test_one_key_away_and_back(kind: str, lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, *WAYS[kind])
        below = app.screen
        assert below.kind == kind
        for back in ("w", "escape"):
            await lab.settle(pilot, "w")
            assert isinstance(app.screen, MovedPage)
            await lab.settle(pilot, back)
            assert app.screen is below


async def test_modes_and_symbols_by_key(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        for key, start in (
            ("1", "BTCUSDT scalp"), ("3", "BTCUSDT swing"), ("2", "BTCUSDT day"),
            ("right_square_bracket", "ETHUSDT day"), ("l", "SOLUSDT day"),
            ("left_square_bracket", "ETHUSDT day"), ("h", "BTCUSDT day"),
        ):  # fmt: skip
            await lab.settle(pilot, key)
            line = lab.screen_text(app).splitlines()[1]
            assert line.startswith(f" {start}"), key
            assert f"in {SECONDS[start.split()[1]]} s" in line
        await lab.settle(pilot, "3", "j", "j", "1")
        assert sheet(app).cursor is None


async def test_the_cursor_goes_from_parts_to_cards(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        targets = sheet(app).told.targets
        kinds = [subject for subject, _ in targets]
        assert kinds == sorted(kinds, key="card".__eq__)
        assert kinds.count("card") == 20
        for key, place in (("j", 1), ("down", 2), ("k", 1), ("G", len(targets) - 1),
                           ("pageup", len(targets) - 22), ("g", 0), ("up", 0)):  # fmt: skip
            await lab.settle(pilot, key)
            assert (sheet(app).cursor or targets[0]) == targets[place], key
            shown = [x for x in lab.screen_text(app).splitlines() if x.startswith("▸")]
            assert len(shown) == 1
        assert sheet(app).scroll_offset.y == 0


async def test_enter_opens_cards_of_a_category_and_a_card(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        page, targets = app.screen, sheet(app).told.targets
        first = next(n for n, (subject, _) in enumerate(targets) if subject == "category")
        await lab.settle(pilot, *["j"] * first, "enter")
        assert isinstance(app.screen, Symbol)
        assert app.screen.filter == WITHIN + targets[first][1]
        await lab.settle(pilot, "escape")
        assert app.screen is page
        card = [subject for subject, _ in targets].index("card")
        await lab.settle(pilot, *["j"] * (card - first), "enter")
        assert isinstance(app.screen, CardPage)
        assert app.screen.card == targets[card][1]
        await lab.settle(pilot, "right", "escape")
        assert app.screen is page
        assert sheet(app).cursor == targets[card + 1]
        line = next(n for n, (subject, _) in enumerate(targets) if subject == "line")
        await lab.settle(pilot, "g", *["j"] * line, "enter")
        assert app.screen is page
        await lab.settle(pilot, "g", *["j"] * card, "A")
        assert isinstance(app.screen, Academy)
        assert app.screen.here.anchor == targets[card][1]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_a_click_puts_the_cursor(size: tuple[int, int], lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "w")
        targets = sheet(app).told.targets
        await pilot.click("#whole", offset=(4, 5))
        await lab.settle(pilot)
        assert sheet(app).cursor == targets[2]
        if size[0] >= 120:
            await pilot.click("#whole", offset=(size[0] - 30, 3))
            await lab.settle(pilot)
            assert sheet(app).cursor == next(t for t in targets if t[0] == "card")
        before = sheet(app).cursor
        await pilot.click("#whole", offset=(4, 1))
        assert sheet(app).cursor == before


async def test_empty_states_say_why(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        made, replace = app.source.snapshot, msgspec.structs.replace
        real = app.source.detail
        app.source.detail = lambda symbol, parts: replace(real(symbol, parts), moves={})
        day = made.symbols[0].modes["day"]

        def of(change: Composite, number: int) -> None:
            state = replace(made.symbols[0], modes={**made.symbols[0].modes, "day": change})
            app.source.snapshot = replace(made, number=number, step=number,
                                          symbols=(state, *made.symbols[1:]))  # fmt: skip

        for number, (composite, said) in enumerate((
            (lab.nothing("day"), "No decision of BTCUSDT day yet"),
            (replace(day, bias=None), "BTCUSDT day has no bias"),
            (replace(day, history=(day.bias,)), "Only one decision of BTCUSDT day so far"),
            (day, "BTCUSDT day had no bias before"),
        ), 900):  # fmt: skip
            of(composite, number)
            await lab.settle(pilot)
            assert said in lab.screen_text(app)
            await lab.settle(pilot, "j", "enter", "G")
            assert isinstance(app.screen, MovedPage)
        app.source.detail = lambda symbol, parts: replace(real(symbol, parts), moves=None)
        of(day, 950)
        await lab.settle(pilot)
        assert "What moved is not kept here" in lab.screen_text(app)
        app.source.snapshot = lab.loading()
        await lab.settle(pilot)
        assert "Waiting for market data" in lab.screen_text(app)


async def test_held(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    """A held picture keeps its move; held elsewhere, there is none to show."""
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w", "p")
        before = lab.screen_text(app).splitlines()[1:22]
        made = app.source.snapshot
        app.source.snapshot = lab.full(phase=1.0, number=900)
        await lab.settle(pilot)
        assert lab.screen_text(app).splitlines()[1:22] == before
        state = made.symbols[0]
        later = msgspec.structs.replace(state.modes["day"], ts=lab.TS - 5 * lab.NS)
        state = msgspec.structs.replace(state, modes={**state.modes, "day": later})
        app.source.snapshot = msgspec.structs.replace(made, symbols=(state, *made.symbols[1:]))
        await lab.settle(pilot, "p", "escape", "p", "w")
        assert "The picture is held" in lab.screen_text(app)
        await lab.settle(pilot, "p")
        assert "BTCUSDT day  " in lab.screen_text(app)
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "p", "w")
        assert "The picture is held" in lab.screen_text(app)


async def test_only_what_changed_is_painted(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "w")
        seen: list[object] = []
        sheet(app).refresh = lambda *regions, **_: seen.extend(regions)
        app.paint()
        assert seen == []
        await lab.settle(pilot, "j")
        assert {region.y for region in seen} == {3, 4}


async def test_text_from_outside_is_shown_as_it_is(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    made = app.source.snapshot
    state = msgspec.structs.replace(made.symbols[0], id="[b]\x1b[31mUSDT")
    app.source.snapshot = msgspec.structs.replace(made, symbols=(state, *made.symbols[1:]))
    real = app.source.detail

    def detail(symbol: str, parts: frozenset[str]) -> Detail:
        found = real(symbol, parts)
        day = Move(60 * lab.NS, 0, 1.0, 3.0, (Moved("category", "[/x]\x1b[0m", 3.0, 1.0, 2.0),),
                   (Moved("card", "[@click=quit]" + "y" * 10_000, 3.0, 1.0, 2.0),))  # fmt: skip
        return msgspec.structs.replace(found, moves={"day": day})

    app.source.detail = detail
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        shown = lab.screen_text(app)
        assert "\x1b" not in shown
        assert "[b] [31mUSDT day" in shown
        assert "[/x] [0m" in shown
        assert all(len(line) <= 80 for line in shown.splitlines())


async def test_stale_and_too_small(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of("stale")
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "w")
        names = ("dim", "faint", "text", "warn", "dim@cursor", "faint@cursor")
        allowed = {app.look.palette[name] for name in names}
        for strip in app.screen._compositor.render_strips()[1:12]:
            assert {style.color.number for _, style, _ in strip if style and style.color} <= allowed
        await pilot.resize_terminal(79, 24)
        await lab.settle(pilot)
        assert "80x24 needed" in lab.screen_text(app)
        await pilot.resize_terminal(120, 40)
        await lab.settle(pilot)
        assert "category" in lab.screen_text(app)


async def test_a_theme_put_on_is_as_one_started_with(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "w")
        app.action_theme("colour-blind-light")
        await lab.settle(pilot)
        changed = lab.screen_styles(app, range(40))
    fresh = app_of(theme="colour-blind-light")
    async with fresh.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "w")
        assert lab.screen_styles(fresh, range(40)) == changed


async def test_from_a_narrow_breakdown_it_is_the_same_symbol(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "c", "j", "w")
        assert " ETHUSDT day" in lab.screen_text(app)
        await lab.settle(pilot, "escape")
        assert isinstance(app.screen, Categories)
