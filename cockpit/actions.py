"""The one registry of what the user can do: bindings, footer and help are made from it."""

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """Keys (Textual names, comma separated), the App's action, and how it is told to the user.

    `hint` is the footer's word, empty where no footer tells it; `shown` how the keys are written.
    """

    id: str
    keys: str
    action: str
    shown: str
    hint: str
    help: str


ACTIONS = (
    Action("help", "question_mark", "help", "?", "help", "this page, and back"),
    Action("open", "enter", "open", "Enter", "open",
           "what is under the cursor: a symbol, its card, a cell, a link"),
    Action("breakdown", "c", "breakdown", "c", "why",
           "categories of the row under the cursor: why its bias is so"),
    Action("map", "m", "heat", "m", "map", "heat map: every symbol by every category, and back"),
    Action("academy", "A", "academy", "A", "academy",
           "what each card means and how to read it, and back"),
    Action("link", "tab", "link(1)", "Tab", "link",
           "next tab of a symbol; next link of a text, Enter follows it"),
    Action("link_back", "shift+tab", "link(-1)", "S-Tab", "", "the tab or link before"),
    Action("alerts", "a", "alerts", "a", "alerts", "the latest alerts, and back"),
    Action("feeds", "f", "feeds", "f", "feeds", "every feed and stream, and back"),
    Action("filter", "slash", "filter", "/", "filter",
           "show only symbols that contain a text, or cards of an open symbol"),
    Action("quit", "q,ctrl+c", "quit", "q", "quit", "leave; history is written first"),
    Action("pause", "p", "pause", "p", "pause", "hold the picture; data keeps flowing"),
    Action("scalp", "1", "mode('scalp')", "1", "", "mode scalp, the quickest"),
    Action("day", "2", "mode('day')", "2", "", "mode day"),
    Action("swing", "3", "mode('swing')", "3", "", "mode swing, the slowest"),
    Action("down", "down,j", "move(1)", "j ↓", "",
           "next symbol, card or cell; scrolls where there is a text"),
    Action("up", "up,k", "move(-1)", "k ↑", "", "the one before; scrolls back"),
    Action("next", "right_square_bracket,right,l", "symbol(1)", "] → l", "next",
           "next symbol; next card, column or page where one is open"),
    Action("previous", "left_square_bracket,left,h", "symbol(-1)", "[ ← h", "",
           "the one before, likewise"),
    Action("order", "greater_than_sign,o", "order(1)", "> o", "sort",
           "sort by the next column, or otherwise; academy: the next page"),
    Action("order_back", "less_than_sign", "order(-1)", "<", "",
           "sort by the column before; academy: the page before"),
    Action("turn", "r", "turn", "r", "", "the other way round; a click on a head does both"),
    Action("pin", "P", "pin", "P", "", "pin the symbol to the top of the grid, or let it go"),
    Action("preset", "v", "preset(1)", "v", "view", "the next set of columns"),
    Action("preset_back", "V", "preset(-1)", "V", "", "the set of columns before"),
    Action("zoom_in", "plus,equals_sign", "zoom(1)", "+ =", "zoom", "shorter bars in a chart"),
    Action("zoom_out", "minus", "zoom(-1)", "-", "", "longer bars in a chart"),
    Action("earlier", "comma", "pan(-1)", ",", "", "scroll a chart back in time"),
    Action("later", "full_stop", "pan(1)", ".", "", "scroll a chart towards now"),
    Action("first", "g,home", "move(-1000)", "g", "", "first symbol or line"),
    Action("last", "G,end", "move(1000)", "G", "", "last symbol or line"),
    Action("page_down", "pagedown,space", "page(1)", "PgDn", "", "a page down; scrolls here too"),
    Action("page_up", "pageup,b", "page(-1)", "PgUp", "", "a page up"),
    Action("back", "escape,backspace", "back", "Esc", "back", "clear the filter, or go back"),
    Action("suspend", "ctrl+z", "suspend_process", "^Z", "", "to the shell; `fg` comes back"),
)  # fmt: skip
BY_ID = {a.id: a for a in ACTIONS}
# What the footer tells on each kind of screen, most useful first.
FOOTERS = {
    "home": ("help", "open", "filter", "quit", "breakdown", "map", "alerts", "feeds", "order",
             "academy", "pause"),
    "symbol": ("back", "open", "next", "order", "help", "filter", "breakdown", "pause", "quit"),
    "card": ("back", "next", "link", "open", "help", "academy", "pause", "quit"),
    "map": ("back", "open", "order", "help", "next", "pause", "quit"),
    "academy": ("back", "filter", "link", "open", "next", "help", "quit"),
    "page": ("back", "help", "quit", "pause"),
}  # fmt: skip
PLAIN = {"↓": "Down", "↑": "Up", "→": "Right", "←": "Left"}


def bindings() -> list[Binding]:
    """Textual bindings, one for each action, with an id so that keys can be remapped."""
    return [
        Binding(a.keys, a.action, a.hint or a.help, show=bool(a.hint), id=a.id) for a in ACTIONS
    ]


def hints(kind: str = "home") -> tuple[tuple[str, str], ...]:
    """Key and word of what the footer of a kind of screen tells."""
    return tuple((BY_ID[i].shown.split()[0], BY_ID[i].hint) for i in FOOTERS[kind])


def help_lines(arrows: bool = True) -> tuple[tuple[str, str], ...]:
    """Key and sentence of every action; `arrows` off writes plain ASCII."""
    table = {} if arrows else str.maketrans(PLAIN)
    return tuple((a.shown.translate(table), a.help) for a in ACTIONS)
