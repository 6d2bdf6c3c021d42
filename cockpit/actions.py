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
           "the symbol under the cursor: history, and every card of its bias"),
    Action("breakdown", "c", "breakdown", "c", "why",
           "categories of the row under the cursor: why its bias is so"),
    Action("alerts", "a", "alerts", "a", "alerts", "the latest alerts, and back"),
    Action("feeds", "f", "feeds", "f", "feeds", "every feed and stream, and back"),
    Action("filter", "slash", "filter", "/", "filter",
           "show only symbols that contain a text, or cards of an open symbol"),
    Action("quit", "q,ctrl+c", "quit", "q", "quit", "leave; history is written first"),
    Action("pause", "p", "pause", "p", "pause", "hold the picture; data keeps flowing"),
    Action("scalp", "1", "mode('scalp')", "1", "", "mode scalp, the quickest"),
    Action("day", "2", "mode('day')", "2", "", "mode day"),
    Action("swing", "3", "mode('swing')", "3", "", "mode swing, the slowest"),
    Action("down", "down,j", "move(1)", "j ↓", "", "next symbol; scrolls where there is a list"),
    Action("up", "up,k", "move(-1)", "k ↑", "", "previous symbol; scrolls back"),
    Action("next", "right_square_bracket,right", "symbol(1)", "] →", "next",
           "next symbol, on a symbol's screen too"),
    Action("previous", "left_square_bracket,left", "symbol(-1)", "[ ←", "",
           "previous symbol, likewise"),
    Action("order", "greater_than_sign,o", "order(1)", "> o", "sort",
           "sort by the next column; on a symbol, another order of cards"),
    Action("order_back", "less_than_sign", "order(-1)", "<", "", "sort by the column before"),
    Action("turn", "r", "turn", "r", "", "the other way round; a click on a head does both"),
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
    "home": ("help", "open", "filter", "quit", "breakdown", "alerts", "feeds", "order", "pause"),
    "symbol": ("back", "next", "order", "help", "filter", "breakdown", "pause", "quit"),
    "page": ("back", "help", "quit", "pause"),
}
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
