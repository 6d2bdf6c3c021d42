"""The one registry of what the user can do: bindings, footer, palette and help are made from it."""

from dataclasses import dataclass

# Kinds of screens; those that stand for a moment over another come last.
PAGES = ("alerts", "feeds", "help", "page")
SCREENS = ("home", "symbol", "card", "map", "moved", "academy", "categories", *PAGES)
LISTS = frozenset(["home", "symbol", "card", "map", "moved", "academy", "categories"])
ALL = frozenset(SCREENS)
ASKING = ALL | {"palette"}
ANYWHERE = ASKING | {"jump"}


@dataclass(frozen=True)
class Action:
    """Default keys (comma separated, none for the palette alone), the App's action, what is told.

    `hint` is the footer's word, empty where no footer tells it; `on` the kinds of screens on which
    it does something.
    """

    id: str
    keys: str
    action: str
    hint: str
    help: str
    on: frozenset[str] = ALL

    @property
    def name(self) -> str:
        """The id as it is written in the palette."""
        return self.id.replace("_", " ")


def _on(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


ACTIONS = (
    Action("help", "question_mark", "help", "help", "what this screen shows, its keys; and back"),
    Action("palette", "ctrl+p,colon", "palette", "find",
           "command palette: every action, symbol, page and card by name", ASKING),
    Action("jump", "J,ctrl+o", "jump", "jump", "a letter on whatever a click would reach"),
    Action("open", "enter", "open", "open", "what is under the cursor: a symbol, its card, a link",
           LISTS),
    Action("breakdown", "c", "breakdown", "why",
           "categories of the row under the cursor: why its bias is so"),
    Action("moved", "w", "moved", "moved", "what moved the bias since its last decision"),
    Action("map", "m", "heat", "map", "heat map: every symbol by every category, and back"),
    Action("academy", "A", "academy", "academy",
           "what each card means and how to read it, and back"),
    Action("link", "tab,n", "link(1)", "link", "next tab of a symbol; next link of a text",
           _on("symbol", "card", "academy")),
    Action("link_back", "shift+tab,N", "link(-1)", "", "the tab or link before",
           _on("symbol", "card", "academy")),
    Action("alerts", "a", "alerts", "alerts", "the latest alerts, and back"),
    Action("feeds", "f", "feeds", "feeds", "every feed and stream, and back"),
    Action("filter", "slash", "filter", "filter",
           "only symbols, cards or pages that contain a text"),
    Action("quit", "q,ctrl+c", "quit", "quit", "leave; history is written first", ANYWHERE),
    Action("pause", "p", "pause", "pause", "hold the picture; data keeps flowing"),
    Action("scalp", "1", "mode('scalp')", "", "mode scalp, the quickest"),
    Action("day", "2", "mode('day')", "", "mode day"),
    Action("swing", "3", "mode('swing')", "", "mode swing, the slowest"),
    Action("down", "j,down", "move(1)", "", "next symbol, card, row or line", ASKING),
    Action("up", "k,up", "move(-1)", "", "the one before", ASKING),
    Action("next", "right_square_bracket,right,l", "symbol(1)", "next",
           "next symbol; next card, column or page where one is open", LISTS),
    Action("previous", "left_square_bracket,left,h", "symbol(-1)", "",
           "the one before, likewise", LISTS),
    Action("order", "greater_than_sign,o", "order(1)", "sort",
           "sort by the next column; map: by family; academy: next page",
           _on("home", "symbol", "map", "academy")),
    Action("order_back", "less_than_sign", "order(-1)", "",
           "sort by the column before; academy: the page before",
           _on("home", "symbol", "map", "academy")),
    Action("turn", "r", "turn", "", "the other way round; a click on a head does both",
           _on("home", "symbol")),
    Action("pin", "P", "pin", "", "pin the symbol to the top of the grid, or let it go",
           _on("home")),
    Action("preset", "v", "preset(1)", "view", "the next set of columns", _on("home")),
    Action("preset_back", "V", "preset(-1)", "", "the set of columns before", _on("home")),
    Action("zoom_in", "plus,equals_sign", "zoom(1)", "zoom", "shorter bars in a chart",
           _on("symbol")),
    Action("zoom_out", "minus", "zoom(-1)", "", "longer bars in a chart", _on("symbol")),
    Action("earlier", "comma", "pan(-1)", "", "scroll a chart back in time", _on("symbol")),
    Action("later", "full_stop", "pan(1)", "", "scroll a chart towards now", _on("symbol")),
    Action("first", "g,home", "move(-1000)", "", "first symbol, row or line"),
    Action("last", "G,end", "move(1000)", "", "last symbol, row or line"),
    Action("page_down", "pagedown,space,ctrl+f", "page(1)", "", "a page down", ASKING),
    Action("page_up", "pageup,b,ctrl+b", "page(-1)", "", "a page up", ASKING),
    Action("half_down", "ctrl+d", "half(1)", "", "half a page down"),
    Action("half_up", "ctrl+u", "half(-1)", "", "half a page up"),
    Action("theme", "", "theme", "", "the next theme, until the cockpit is left"),
    Action("back", "escape,backspace", "back", "back", "clear the filter, or go back", ANYWHERE),
    Action("suspend", "ctrl+z", "suspend_process", "", "to the shell; `fg` comes back", ANYWHERE),
)  # fmt: skip
BY_ID = {a.id: a for a in ACTIONS}
# What the footer tells on each kind of screen, most useful first.
_PAGE = ("back", "help", "quit", "pause")
FOOTERS = {
    "home": ("help", "open", "filter", "quit", "palette", "breakdown", "moved", "map", "alerts",
             "feeds", "order", "academy", "pause", "jump", "preset"),
    "symbol": ("back", "open", "next", "link", "help", "filter", "order", "zoom_in", "breakdown",
               "moved", "pause", "quit"),
    "card": ("back", "next", "link", "open", "help", "academy", "moved", "pause", "quit"),
    "map": ("back", "open", "order", "help", "next", "moved", "pause", "quit"),
    "moved": ("back", "open", "next", "help", "academy", "pause", "quit"),
    "academy": ("back", "filter", "link", "open", "next", "help", "quit"),
    "palette": ("back",),
    "jump": ("back",),
    **dict.fromkeys(("categories", *PAGES), _PAGE),
}  # fmt: skip


def applicable(kind: str) -> tuple[Action, ...]:
    """Actions that do something on a kind of screen, in the registry's order."""
    return tuple(a for a in ACTIONS if kind in a.on)


def does(action: str, kind: str) -> bool:
    """Whether an App's action, named without arguments, does something on a kind of screen.

    What the registry does not know, such as an action of Textual's, is let through.
    """
    kinds = _KINDS.get(action)
    return kinds is None or kind in kinds


_KINDS: dict[str, frozenset[str]] = {}
for _action in ACTIONS:
    _name = _action.action.partition("(")[0]
    _KINDS[_name] = _KINDS.get(_name, frozenset()) | _action.on
