"""Feeds and alerts: their keys, their words, and how new alerts reach the terminal."""

from types import ModuleType

import msgspec
import pytest

from cockpit.screens.alerts import Alerts
from cockpit.screens.feeds import FeedsPage
from cockpit.screens.help import Help
from cockpit.screens.symbol import Symbol
from cockpit.widgets.toast import Toast
from engine.config import AlertsConfig
from engine.snapshot import Snapshot


@pytest.mark.parametrize(("key", "kind"), [("f", FeedsPage), ("a", Alerts)])
async def test_screens_open_and_close(key: str, kind: type, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        for back in (key, "escape", "backspace"):
            await lab.settle(pilot, key)
            assert isinstance(app.screen, kind)
            await lab.settle(pilot, back)
            assert app.screen is app.home


async def test_screens_lie_on_each_other_and_none_twice(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "f", "question_mark")
        assert [type(s) for s in app.screen_stack[1:]] == [Symbol, FeedsPage, Help]
        await lab.settle(pilot, "f")
        assert [type(s) for s in app.screen_stack[1:]] == [Symbol, FeedsPage]
        await lab.settle(pilot, "slash")
        assert isinstance(app.screen, Symbol)
        assert app.screen.filter_line.display


async def test_lists_scroll_and_the_cursor_of_the_grid_stays(lab: ModuleType) -> None:
    made = lab.full()
    many = tuple(lab.Alert(n, lab.TS, "bias", "info", "BTCUSDT", "day", None, f"number {n}")
                 for n in range(90, 0, -1))  # fmt: skip
    app = lab.cockpit(msgspec.structs.replace(made, alerts=many))
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "a")
        assert "number 90" in lab.screen_text(app)
        await lab.settle(pilot, "j", "pagedown")
        assert "number 90" not in lab.screen_text(app)
        await lab.settle(pilot, "G")
        assert "number 1\n" in lab.screen_text(app)
        await lab.settle(pilot, "g")
        assert "number 90" in lab.screen_text(app)
        await lab.settle(pilot, "escape")
        assert "▸BTC" in lab.screen_text(app)


async def test_new_alerts_ring_and_show_a_toast_that_goes(lab: ModuleType) -> None:
    alerts = AlertsConfig(desktop="osc9")
    app = lab.cockpit(lab.full(), alerts=alerts)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        written: list[str] = []
        app._herald._write = written.append
        app._herald._tmux = False
        app.source.snapshot = lab.picture("alerts")
        await lab.settle(pilot)
        assert written == [
            "\x1b]9;Blackperp DEMO: HYPEUSDT day bias above +40: +52.3; and 2 more\a\a"
        ]
        assert app.screen.query_one(Toast).display
        assert "day bias above +40" in lab.screen_text(app)
        await lab.settle(pilot)
        assert len(written) == 1
        clock = app._herald._now
        app._herald._now = lambda: clock() + 60
        await lab.settle(pilot)
        assert not app.screen.query_one(Toast).display
        assert "day bias above +40" not in lab.screen_text(app)


async def test_alerts_are_heard_while_the_picture_is_held(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "p")
        app.source.snapshot = lab.picture("alerts")
        await lab.settle(pilot)
        assert "day bias above +40" in lab.screen_text(app)


async def test_the_terminal_is_written_to_by_its_driver(lab: ModuleType) -> None:
    """Never by print: the screen's own writer keeps the order."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        written: list[str] = []
        app._driver.write = written.append
        app.write_terminal("\a")
        assert written == ["\a"]


@pytest.mark.parametrize("text", ["[/", "[b]x[/b]", "\x1b]9;x\x07", "[@click=quit]", "漢字"])
async def test_alerts_are_never_markup(text: str, lab: ModuleType) -> None:
    made = lab.full()
    alert = lab.Alert(1, lab.TS, "feed_down", "error", None, None, text, f"{text} down")
    feeds = {text: lab.feed("limited", text)}
    app = lab.cockpit(made)
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot)
        app.source.snapshot = msgspec.structs.replace(made, alerts=(alert,), feeds=feeds)
        for keys in ((), ("a",), ("f",)):
            await lab.settle(pilot, *keys)
            shown = lab.screen_text(app)
            assert "\x1b" not in shown
            assert text.replace("\x1b", " ").replace("\x07", " ").replace("漢字", "??") in shown


def renewed(lab: ModuleType, times: int) -> Snapshot:
    """The picture with alerts, as if they had come again."""
    made = lab.picture("alerts")
    alerts = tuple(msgspec.structs.replace(a, number=a.number + 10 * times) for a in made.alerts)
    return msgspec.structs.replace(made, alerts=alerts)


@pytest.mark.parametrize("keys", ["enter", "f", "a"])
async def test_too_small_says_so_here_too(keys: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, keys)
        for times, size in enumerate(((79, 24), (80, 23), (10, 3))):
            await pilot.resize_terminal(*size)
            app.source.snapshot = renewed(lab, times)
            await lab.settle(pilot)
            shown = lab.screen_text(app)
            assert "80x24"[: size[0]] in shown
            assert "BTC" not in shown
            await pilot.resize_terminal(80, 24)
            await lab.settle(pilot)
            assert "80x24" not in lab.screen_text(app)


SCREENS = ("", "enter", "f", "a")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_every_colour_is_the_palette_s(theme: str, lab: ModuleType) -> None:
    """Of every screen, under a toast where it does not list alerts itself."""
    app = lab.cockpit(lab.full(), theme=theme)
    allowed = set(app.look.palette.values())
    async with app.run_test(size=(200, 50)) as pilot:
        for times, keys in enumerate(SCREENS):
            await lab.settle(pilot, *filter(None, [keys]))
            app.source.snapshot = renewed(lab, times)
            await lab.settle(pilot)
            assert app.screen.query_one(Toast).display == (keys != "a")
            for strip in app.screen._compositor.render_strips():
                for piece, style, _ in strip:
                    assert style.bgcolor.number in allowed, piece
                    if piece.strip():
                        assert style.color.number in allowed, piece
            await lab.settle(pilot, "escape")


async def test_ascii_is_ascii(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), glyphs="ascii")
    async with app.run_test(size=(200, 50)) as pilot:
        for times, keys in enumerate(SCREENS):
            await lab.settle(pilot, *filter(None, [keys]))
            app.source.snapshot = renewed(lab, times)
            await lab.settle(pilot)
            assert app.screen.query_one(Toast).display == (keys != "a")
            assert lab.screen_text(app).isascii()
            await lab.settle(pilot, "escape")


async def test_feeds_say_what_each_state_means(lab: ModuleType) -> None:
    made = lab.full()
    app = lab.cockpit(msgspec.structs.replace(made, feeds={}))
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "f")
        assert "No feed is switched on" in lab.screen_text(app)
        for state in ("blocked", "limited", "connecting", "partial"):
            app.source.snapshot = msgspec.structs.replace(made, feeds={"x": lab.feed(state)})
            await lab.settle(pilot)
            assert state in lab.screen_text(app)
        assert "not every stream is ready" in lab.screen_text(app)


async def test_history_under_way_is_told_until_it_is_there(lab: ModuleType) -> None:
    made = lab.full()
    app = lab.cockpit(made)
    async with app.run_test(size=(120, 40)) as pilot:
        for histories, told in (((None, None), False), (((312, 504), (4, 4)), True),
                                (((504, 504), (4, 4)), False)):  # fmt: skip
            feeds = {
                name: msgspec.structs.replace(lab.feed(), history=history)
                for name, history in zip("xy", histories, strict=True)
            }
            app.source.snapshot = msgspec.structs.replace(made, feeds=feeds)
            await lab.settle(pilot)
            assert ("history 316/508" in lab.screen_text(app)) == told
            await lab.settle(pilot, "f")
            assert ("history 312/504" in lab.screen_text(app)) == told
            assert "4/4" not in lab.screen_text(app)
            await lab.settle(pilot, "escape")
