"""Stage: what every screen has in common; Page: a screen that is one list to scroll."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import Widget

from cockpit.actions import ACTIONS, BY_ID
from cockpit.keymap import Keymap
from cockpit.screens.explained import Pairs, explanation
from cockpit.theme import Look
from cockpit.widgets.bars import Footer, Header
from cockpit.widgets.filter import FilterLine
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import TooSmall
from cockpit.widgets.toast import Toast
from engine.snapshot import MODES


def step_link(chosen: int, step: int, count: int) -> int:
    """The next of so many links, round and round; -1 where there is none."""
    if not count:
        return -1
    return (chosen + step) % count if chosen >= 0 else (0 if step > 0 else count - 1)


class Stage(Screen[None], inherit_bindings=False):
    """A screen that is shown scenes; below 80x24 it says so and shows nothing else.

    `kind` chooses the keys that act and are told.
    """

    AUTO_FOCUS = ""
    kind: ClassVar[str] = "page"
    toasting: ClassVar[bool] = True

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.scene: Scene | None = None
        self.filter = ""
        self._moved = False

    def compose(self) -> ComposeResult:
        yield TooSmall(self.look, id="small")
        yield from self.parts()
        yield Toast(self.look, id="toast")

    def parts(self) -> ComposeResult:
        """The screen's own widgets."""
        raise NotImplementedError

    @property
    def wants(self) -> frozenset[str]:
        """The parts of a Detail it needs."""
        return frozenset()

    def bar(self) -> Footer:
        """A footer with the keys of this kind of screen."""
        return Footer(self.look, self.hints, id="footer")

    @property
    def hints(self) -> tuple[tuple[str, str], ...]:
        """Key and word of what the footer tells here."""
        told = self.keymap.hints
        return told.get(self.kind, told["page"])

    @property
    def keymap(self) -> Keymap:
        """The keys in force."""
        found = getattr(self.app, "keymap", None)
        return found if isinstance(found, Keymap) else Keymap()

    @property
    def _modes(self) -> tuple[str, ...]:
        keys = [self.keymap.shown(mode).split()[:1] for mode in MODES]
        return tuple(f" {' '.join([*key, mode])} " for key, mode in zip(keys, MODES, strict=True))

    def explains(self) -> Pairs:
        """What stands on the screen and how to read it, for the help."""
        return explanation(self.kind)

    def show(self, scene: Scene) -> None:
        """Show a scene; only what differs from the last one is painted."""
        self.scene = scene
        if not self.is_mounted:
            return
        self.query_one(TooSmall).show(scene)
        for header in self.query(Header):
            header.modes = self._modes
        for widget in self.shown():
            if widget.display and widget.size.width:
                widget.show(scene)  # type: ignore[attr-defined]
        if self.toasting:
            self.query_one(Toast).announce(scene, self.size)

    def shown(self) -> tuple[Widget, ...]:
        """Widgets with a `show(scene)`, top to bottom."""
        raise NotImplementedError

    def move(self, rows: int) -> bool:
        """Scroll by lines; False where the cursor of the grid is to move instead."""
        return False

    def page(self, direction: int) -> bool:
        """Scroll by a page; False where there is nothing to scroll."""
        return False

    def half(self, direction: int) -> bool:
        """Go half a page; False where the cursor of the grid is to move instead."""
        return self.move(direction * self.half_page)

    @property
    def half_page(self) -> int:
        """Lines of half a page: the screen without header, heads and footer."""
        return max(1, (self.size.height - 3) // 2)

    def aside(self, step: int) -> bool:
        """Go left or right; False where that is the next symbol."""
        return False

    def link(self, step: int) -> None:
        """Choose another tab, or another link of the text."""

    def pin(self, symbol: str) -> None:
        """Keep a symbol above the others, or no longer."""

    def preset(self, step: int) -> None:
        """Choose another set of columns."""

    def zoom(self, step: int) -> None:
        """Show shorter (+1) or longer (-1) bars."""

    def pan(self, step: int) -> None:
        """Scroll a chart back (-1) or towards now (+1)."""

    def opens(self) -> "Stage | None":
        """The screen that Enter opens on this one; None where it opens none."""
        return None

    def topic(self) -> tuple[str, str] | None:
        """Page and anchor at which the academy is opened from here; None for any."""
        return None

    def reorder(self, step: int) -> None:
        """Choose another order of what is listed."""

    def turn(self) -> None:
        """List it the other way round."""

    async def on_click(self, event: events.Click) -> None:
        """A click on a mode of the header or a key of the footer is that key."""
        bar = event.widget
        if isinstance(bar, Header | Footer) and (action := self._told_at(bar, event.screen_x)):
            event.stop()
            await self.app.run_action(action)

    def _told_at(self, bar: Header | Footer, x: int) -> str | None:
        """The action whose words stand at a place of the screen's first or last line."""
        words = bar.words_at(0)
        if isinstance(bar, Header):
            told = {said: BY_ID[m].action for said, m in zip(bar.modes, MODES, strict=True)}
        else:
            by_hint = {a.hint: a.action for a in ACTIONS}
            told = {f"{key} {word}": by_hint[word] for key, word in self.hints}
        for said, action in told.items():
            at = words.rfind(said)
            if 0 <= at <= x - bar.region.x < at + len(said):
                return action
        return None

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(TooSmall.is_for(event.size), "-small")
        self.fit_to(width, height)
        if self.scene is not None:
            self.call_after_refresh(self.again)

    def on_lines_resized(self) -> None:
        """However many widgets have another size, all are shown once more together."""
        if not self._moved:
            self._moved = True
            self.call_next(self._shown_again)

    def _shown_again(self) -> None:
        self._moved = False
        self.again()

    def fit_to(self, width: int, height: int) -> None:
        """Decide what there is room for."""

    def again(self) -> None:
        """Show the last scene once more, as after a change of layout."""
        if self.scene is not None and self.app.is_running:
            self.show(self.scene)

    # Filter

    @property
    def filter_line(self) -> FilterLine | None:
        """Where a filter is typed; None on a screen that has none."""
        try:
            return self.query_one(FilterLine)
        except NoMatches:
            return None

    def ask_filter(self) -> None:
        """Put the filter line in the footer's place."""
        if line := self.filter_line:
            self.add_class("-filtering")
            line.value = self.filter
            line.focus()

    def end_filter(self) -> None:
        """Put the footer back."""
        if self.filter_line:
            self.set_focus(None)
            self.remove_class("-filtering")
            self.call_after_refresh(self.again)

    def clear_filter(self) -> bool:
        """Forget the filter; False where there was none."""
        line = self.filter_line
        typing = self.has_class("-filtering")
        if line is None or not (typing or self.filter):
            return False
        if typing:
            line.value = ""
            self.end_filter()
        self.filter = ""
        return True


class Page(Stage):
    """Header, one list over the whole screen, footer."""

    def body(self) -> Lines:
        """The list, with the id `whole`."""
        raise NotImplementedError

    def parts(self) -> ComposeResult:
        yield Header(self.look, id="header")
        yield self.body()
        yield self.bar()

    def shown(self) -> tuple[Widget, ...]:
        return tuple(self.query_one(f"#{name}") for name in ("header", "whole", "footer"))

    def show(self, scene: Scene) -> None:
        super().show(scene)
        if self.is_mounted:
            footer = self.query_one(Footer)
            footer.part = self.query_one("#whole", Lines).place
            footer.show(scene)

    def move(self, rows: int) -> bool:
        self.query_one("#whole", Lines).scroll_lines(rows)
        self.again()
        return True

    def page(self, direction: int) -> bool:
        return self.move(direction * (self.query_one("#whole", Lines).size.height - 1))
