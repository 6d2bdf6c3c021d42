"""The one registry of what the user can do: bindings, footer and help are made from it."""

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """Keys (Textual names, comma separated), the App's action, and how it is told to the user.

    `hint` is the footer's word, empty where the footer is silent; `shown` how the keys are written.
    """

    id: str
    keys: str
    action: str
    shown: str
    hint: str
    help: str


ACTIONS = (
    Action("help", "question_mark", "help", "?", "help", "this page, and back"),
    Action("filter", "slash", "filter", "/", "filter", "show only symbols that contain a text"),
    Action("quit", "q,ctrl+c", "quit", "q", "quit", "leave; history is written first"),
    Action("breakdown", "enter,c", "breakdown", "c", "why",
           "categories of the row under the cursor: why its bias is so"),
    Action("pause", "p", "pause", "p", "pause", "hold the picture; data keeps flowing"),
    Action("scalp", "1", "mode('scalp')", "1", "", "mode scalp, the quickest"),
    Action("day", "2", "mode('day')", "2", "", "mode day"),
    Action("swing", "3", "mode('swing')", "3", "", "mode swing, the slowest"),
    Action("down", "down,j", "move(1)", "j ↓", "", "next symbol"),
    Action("up", "up,k", "move(-1)", "k ↑", "", "previous symbol"),
    Action("first", "g,home", "move(-1000)", "g", "", "first symbol"),
    Action("last", "G,end", "move(1000)", "G", "", "last symbol"),
    Action("page_down", "pagedown,space", "page(1)", "PgDn", "", "a page down; scrolls here too"),
    Action("page_up", "pageup,b", "page(-1)", "PgUp", "", "a page up"),
    Action("back", "escape", "back", "Esc", "", "close a screen, or clear the filter"),
    Action("suspend", "ctrl+z", "suspend_process", "^Z", "", "to the shell; `fg` comes back"),
)  # fmt: skip


def bindings() -> list[Binding]:
    """Textual bindings, one for each action, with an id so that keys can be remapped."""
    return [
        Binding(a.keys, a.action, a.hint or a.help, show=bool(a.hint), id=a.id) for a in ACTIONS
    ]


def hints() -> tuple[tuple[str, str], ...]:
    """Key and word of what the footer tells, most useful first."""
    return tuple((a.shown, a.hint) for a in ACTIONS if a.hint)


def help_lines(arrows: bool = True) -> tuple[tuple[str, str], ...]:
    """Key and sentence of every action; `arrows` off writes plain ASCII."""
    return tuple(
        (a.shown if arrows else a.shown.replace("↓", "Down").replace("↑", "Up"), a.help)
        for a in ACTIONS
    )
