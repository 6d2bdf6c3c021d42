"""A card's page: its figures add up, its keys do what they say, only changes are painted."""

import math
from types import ModuleType

import msgspec
import pytest

from cockpit.app import CockpitApp
from cockpit.screens.academy import Academy
from cockpit.screens.card import CardPage
from cockpit.screens.symbol import Symbol
from cockpit.widgets.cards import Cards
from cockpit.widgets.figures import normalised
from cockpit.widgets.sheet import Sheet
from engine.snapshot import Detail, Reading, Transition

SIZES = ((80, 24), (120, 40), (200, 50))
# id, name, scores of the windows, score, conflicted, weight, reason
MADE = (
    ("volume_delta", "Volume Delta", (0.53, 0.54, 0.24), 0.417, False, 0.077, ""),
    ("cvd", "CVD", (0.41, -0.02, -0.63), -0.197, True, 0.069, ""),
    ("vpin", "VPIN", (-0.2, -0.31, None), -0.274, False, -0.05, ""),
    ("volume_ratio", "Volume Ratio", (None, None, None), None, False, 0.077, "waiting for [trades"),
    ("no_such_card", "[b]Own[/b] \x1b[31mcard", (1.0, 0.2, 0.1), 0.3, False, 0.01, ""),
)


WEIGHTS = (0.2, 0.4, 0.4)
WHOLE, TOTAL = 11.35, 0.0134


def reading(made: tuple[object, ...], windows: tuple[str, ...], bias: float = 0.0) -> Reading:
    """One whose contribution is what its factors make, and its scores what their measures do."""
    id, name, scores, score, torn, weight, reason = made
    there = score is not None
    strength = abs(score or 0.0) / (2 if torn else 1)
    agreement = 0.6 if torn else 1.0
    confidence = 0.76 * agreement if there else 0.0
    sign = -1 if (score or 0.0) < 0 else 1
    contribution = sign * strength * confidence * weight
    scales = {w: 5.1e5 * (1 + k) for k, w in enumerate(windows)}
    centres = dict.fromkeys(windows, 2.5e4)
    known = [(w, s) for w, s in zip(windows, scores, strict=True) if s is not None]
    raws = {w: centres[w] + scales[w] * 2 * math.atanh(min(s, 1 - 1e-15)) for w, s in known}
    return Reading(
        card=id, name=name, category="order_flow", available=there,
        raws={w: raws.get(w) for w in windows}, scores=dict(zip(windows, scores, strict=True)),
        score=score, strength=strength, confidence=confidence, agreement=agreement,
        state="NEUTRAL", conflicted=torn, age=3.0, reliable=id != "cvd", weight=weight,
        contribution=contribution, reason=reason, weights=dict(zip(windows, WEIGHTS, strict=True)),
        centres=centres, scales=scales,
        samples={w: None if w not in raws else 95.0 for w in windows},
        freshness=1.0 if there else None, sufficiency=0.76 if there else None,
        points=bias * contribution / WHOLE / TOTAL if there else None, whole=WHOLE, total=TOTAL,
    )  # fmt: skip


@pytest.fixture
def app_of(lab: ModuleType) -> object:
    """The app on five cards of one category, with changes of one of them."""

    def make(picture: str = "full", **config: object) -> CockpitApp:
        app = lab.cockpit(lab.picture(picture), **config)
        changes = tuple(
            Transition(lab.TS - n * 60 * lab.NS, "day", "BTCUSDT", "card", id, kind, side, 94e3,
                       before, after, 1.0, 0.5, 50.0)
            for n, id, kind, side, before, after in (
                (1, "volume_delta", "flip", 1, -0.21, 0.42),
                (2, "cvd", "conflict_begins", -1, 0.1, -0.2),
                (3, "volume_delta", "exhaustion", -1, -0.8, -0.7),
            )
        )  # fmt: skip

        def detail(symbol: str, parts: frozenset[str]) -> Detail:
            modes = app.source.snapshot.symbols[0].modes
            cards = {m: tuple(reading(one, w, modes[m].bias or 0.0) for one in MADE)
                     for m, w in lab.WINDOWS.items()}  # fmt: skip
            started = app.source.snapshot.step > 0
            app.source.details.append((symbol, parts))
            return Detail(symbol, cards if started else {}, (), (), (), (), (), changes)

        app.source.detail = detail
        return app

    return make


def sheet(app: CockpitApp) -> Sheet:
    return app.screen.query_one(Sheet)


CASES = {
    "card": ((), {}),
    "card_conflict": (("l", "l"), {}),
    "card_absent": (("G",), {}),
    "card_ascii": (("l",), {"glyphs": "ascii"}),
    "card_link": (("tab",), {}),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_page(case: str, size: tuple[int, int], lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    keys, config = CASES[case]
    first = ("G",) if case == "card_absent" else ()
    rest = () if case == "card_absent" else keys
    app = app_of(**config)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "enter", *first, "enter")
        await lab.settle(pilot, *rest)
        assert isinstance(app.screen, CardPage)
        lab.compare(f"{case}_{size[0]}x{size[1]}", lab.screen_text(app))


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles(theme: str, lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of(theme=theme)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "enter", "l")
        lab.compare(f"styles_card_{theme}", lab.screen_styles(app, range(1, 22)))


@pytest.mark.parametrize("place", range(3))
async def test_the_figures_shown_make_the_contribution(place: int, lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    """Recomputed from what is on the screen, as far as it is rounded there."""
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter", "o", "o", "enter")
        while app.screen.card != MADE[place][0]:
            await lab.settle(pilot, "right")
        said = {line.split()[0]: line.split()[1:] for line in lab.screen_text(app).splitlines()
                if line.strip()}  # fmt: skip
        sign = -1 if float(said["score"][0]) < 0 else 1
        strength, confidence, weight = (
            float(said[name][0]) for name in ("strength", "confidence", "weight")
        )
        shown = float(said["contribution"][0])
        assert shown == pytest.approx(sign * strength * confidence * weight, abs=6e-4)
        assert shown == pytest.approx(reading(MADE[place], ("a", "b", "c")).contribution, abs=5e-5)
        scores = [float(x) for x in said["normalised"][:3] if x != "·"]
        assert scores == pytest.approx([2 * math.atanh(s) for s in MADE[place][2]
                                        if s is not None], abs=0.005)  # fmt: skip


def test_normalised_beyond_what_a_float_tells() -> None:
    assert normalised(1.0) == "> +38"
    assert normalised(-1.0) == "< -38"
    assert normalised(None) is None
    assert normalised(0.0) == "0.00"


async def test_modes_by_key(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "enter")
        for key, mode in (("1", "scalp"), ("3", "swing"), ("2", "day")):
            await lab.settle(pilot, key)
            shown = lab.screen_text(app).splitlines()
            assert f"BTCUSDT  {mode}  Order Flow" in shown[2]
            assert shown[4].split()[1:] == list(lab.WINDOWS[mode])


async def test_next_and_previous_card_and_back(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    """In the order of the list, which goes on where the page was left."""
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "o", "o", "enter")
        cards = tuple(app.screen._cards)
        seen = []
        for key in ("right", "right_square_bracket", "l", "right", "right"):
            await lab.settle(pilot, key)
            seen.append(cards.index(app.screen.card))
        assert seen == [1, 2, 3, 4, 4]
        for key in ("left", "left_square_bracket", "h"):
            await lab.settle(pilot, key)
        assert app.screen.card == cards[1]
        assert app._cursor in (None, "BTCUSDT")
        await lab.settle(pilot, "escape")
        assert isinstance(app.screen, Symbol)
        assert app.screen.query_one(Cards).place_of_cursor == 1
        await lab.settle(pilot, "j", "enter")
        assert app.screen.card == cards[2]


async def test_links_by_key(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "o", "o", "enter")
        while app.screen.card != "volume_delta":
            await lab.settle(pilot, "right")
        page = app.screen
        links = sheet(app).links
        assert [link.anchor for link in links] == ["flow_price_divergence", "agg_volume_delta"]
        for key, place in (("tab", 0), ("tab", 1), ("tab", 0), ("shift+tab", 1)):
            await lab.settle(pilot, key)
            assert page._chosen == place
            top, y = sheet(app).scroll_offset.y, sheet(app).line_of(place)
            assert top <= y < top + sheet(app).size.height
        await lab.settle(pilot, "enter")
        assert isinstance(app.screen, Academy)
        assert (app.screen.here.page, app.screen.here.anchor) == (links[1].page, links[1].anchor)
        assert "Aggregate Volume Delta" in lab.screen_text(app).splitlines()[1]
        await lab.settle(pilot, "escape")
        assert app.screen is page
        for key in ("right", "left", "enter"):
            await lab.settle(pilot, key)
        assert app.screen.here.anchor == "volume_delta"
        await lab.settle(pilot, "escape", "A")
        assert (app.screen.here.page, app.screen.here.anchor) == ("order_flow", "volume_delta")


async def test_scrolls_by_key(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "enter")
        last = sheet(app).max_scroll_y
        assert last > 10
        height = sheet(app).size.height
        for key, y in (("j", 1), ("down", 2), ("k", 1), ("pagedown", min(last, height)),
                       ("G", last), ("g", 0)):  # fmt: skip
            await lab.settle(pilot, key)
            assert sheet(app).scroll_offset.y == y, key
        await lab.settle(pilot, "G", "right")
        assert sheet(app).scroll_offset.y == 0


async def test_only_what_changed_is_painted(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(200, 50)) as pilot:
        await lab.settle(pilot, "enter", "enter")
        seen: list[object] = []
        sheet(app).refresh = lambda *regions, **_: seen.extend(regions)
        app.paint()
        assert seen == []
        real = app.source.detail

        def older(symbol: str, parts: frozenset[str]) -> Detail:
            made = real(symbol, parts)
            day = tuple(msgspec.structs.replace(r, age=44.0) for r in made.readings["day"])
            return msgspec.structs.replace(made, readings=made.readings | {"day": day})

        app.source.detail = older
        app.source.snapshot = msgspec.structs.replace(app.source.snapshot, step=999)
        app.paint()
        assert len(seen) == 1
        assert seen[0].width <= 4
        row = lab.screen_text(app).splitlines()[seen[0].y + 1]
        assert row.split()[0] == "age"


async def test_held_and_without_readings(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    """The page says what is missing and why, and finds its figures again."""
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "enter")
        made = app.source.snapshot
        app.source.snapshot = msgspec.structs.replace(made, step=0)
        await lab.settle(pilot)
        assert "No reading of this card yet" in lab.screen_text(app)
        await lab.settle(pilot, "tab", "enter")
        await lab.settle(pilot, "escape")
        app.source.snapshot = made
        await lab.settle(pilot)
        assert "contribution" in lab.screen_text(app)
        await lab.settle(pilot, "p")
        before = lab.screen_text(app).splitlines()[1:20]
        app.source.snapshot = lab.full(phase=1.0, number=900)
        await lab.settle(pilot)
        assert lab.screen_text(app).splitlines()[1:20] == before


async def test_text_from_outside_is_shown_as_it_is(lab: ModuleType, app_of) -> None:  # type: ignore[no-untyped-def]
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "o", "o", "enter")
        while app.screen.card != "no_such_card":
            await lab.settle(pilot, "right")
        shown = lab.screen_text(app)
        assert "[b]Own[/b]  [31mcard" in shown
        assert "\x1b" not in shown
        await lab.settle(pilot, "G")
        assert "The academy has no page for this card." in lab.screen_text(app)
        await lab.settle(pilot, "enter")
        assert isinstance(app.screen, CardPage)
        while app.screen.card != "volume_ratio":
            await lab.settle(pilot, "right")
        assert "waiting for [trades" in lab.screen_text(app)


@pytest.mark.parametrize("term", ["xterm-256color", "alacritty"])
async def test_stale_is_dim_in_every_palette(
    term: str,
    lab: ModuleType,
    app_of,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", term)
    app = app_of("stale")
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "enter")
        assert isinstance(app.screen, CardPage)
        allowed = {app.look.palette[name] for name in ("dim", "faint", "text", "warn")}
        for strip in app.screen._compositor.render_strips()[2:12]:
            for piece, style, _ in strip:
                assert not piece.strip() or style.color.number in allowed, piece
