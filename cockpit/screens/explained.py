"""What each kind of screen shows and how to read it: a name as it stands there, one sentence."""

from cockpit.widgets.columns import COLUMNS

Pairs = tuple[tuple[str, str], ...]

_READING: Pairs = (
    ("raw", "the measure itself, in its own unit"),
    ("score", "-1 to +1: raw against its own past, + for rising prices"),
    ("strength", "size of the score, halved where windows conflict"),
    ("confidence", "fresh and sufficient data, times the windows' agreement"),
    ("weight", "prior and learned say of the card within its category"),
    ("points", "its share of the bias; all shares add up to it"),
    ("age", "of its oldest input; gap: data was lost, so it is wrong, not late"),
)
EXPLAINED: dict[str, Pairs] = {
    "symbol": (
        ("bias", "-100 to +100 in each mode, + for rising prices"),
        ("conviction", "0 to 100: confidence, agreement and coverage of the cards"),
        ("coverage", "weight of the cards that have data, of all it can have"),
        ("agreement", "weight of the windows on the bias's side"),
        ("expected move", "mean size of a move by the mode's horizon, as it moves now"),
        ("round trip", "two taker fees, spread and funding: costs in the config"),
        ("peers agree", "beyond 60: most correlated symbols on the bias's side"),
        ("win", "the side of each window, shortest first"),
        *_READING,
    ),
    "card": (
        ("window", "the spans over which the card is measured"),
        ("normalised", "raw less its centre, over its usual spread"),
        *_READING,
        ("sides", "a line below tells when it last changed sides, and from what"),
    ),
    "map": (
        ("cell", "score of a category x 100; no number where there is no room"),
        ("ground", "coloured from 20 on: the stronger, the brighter"),
        ("bias", "of the symbol in this mode, where there is room"),
        ("below", "the cell under the cursor: its points and its cards"),
    ),
    "moved": (
        ("then", "points at the decision before; now: at the last one"),
        ("change", "what the part added between; all add up to the bias's change"),
    ),
    "categories": (
        ("points", "what the category adds to the bias; they add up to it"),
        ("cards", "how many of its cards have data"),
        ("state", "from 20 on a side, in capitals from 40 on"),
        ("btc stress", "adjustments by market context, in points as well"),
    ),
    "alerts": (
        ("mark", "a dot informs, ! warns, !! is an error"),
        ("rule", "which rule of the config has spoken: alerts.rules"),
    ),
    "feeds": (
        ("ready", "symbols whose stream is fresh and whose book is in step"),
        ("age", "since the last message; a stream that is silent too long is stale"),
        ("dropped", "frames that could not be used, and why"),
        ("gaps", "messages missed; resyncs: books built anew after one"),
        ("blind", "seconds without any data"),
        ("clock", "how far the venue's clock is ahead of yours"),
    ),
    "academy": (
        ("left", "the pages: guides first, then one for each category"),
        ("text", "what a card measures, how to read it, what misleads"),
    ),
}


def explanation(kind: str) -> Pairs:
    """Of a kind of screen; of home the columns themselves."""
    if kind == "home":
        return tuple((c.head or "symbol", c.help) for c in COLUMNS.values())
    return EXPLAINED.get(kind, ())
