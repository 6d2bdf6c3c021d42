"""An explanation as text of 80 columns: calm, aligned, without colour; '-' is not known."""

from collections.abc import Callable, Iterable, Sequence
from textwrap import wrap

from msgspec import structs

from engine.decision.change import Change
from engine.jobs.explain import (
    NOT_STORED,
    CardPart,
    CategoryPart,
    Explanation,
    Moves,
    NeedPart,
    WindowPart,
)

WIDTH = 80
SHOWN = 20
Instant = Callable[[int], str]
_SIDES = {1: "up", -1: "down", 0: "flat", None: "-"}


def overview(found: Explanation, instant: Instant) -> str:
    """Header, context lines and categories down to the bias."""
    rows = [_category(part) for part in found.categories if part.points is not None]
    lines = [[line.name, signed(line.points, 2), "", "context", "", ""] for line in found.lines]
    head = ["", "points", "score", "state", "weight", "cards"]
    total = ["bias", signed(found.bias, 2), "", "", "", f"{found.available}/{found.possible}"]
    table = _table([head, *lines, *rows, total], "lrrlrr")
    silent = [part.id for part in found.categories if part.points is None]
    return _joined(
        header(found, instant),
        [*table[:-1], "-" * len(table[0]), table[-1]],
        _paragraph(f"Not available: {', '.join(silent)}." if silent else ""),
        _bent(found),
        _foot(found),
    )


def category_text(found: Explanation, category: CategoryPart, instant: Instant) -> str:
    """The cards of a category and what makes each one's points."""
    own = [card for card in category.cards if card.possible]
    head = ["card", "points", "score", "stren", "fresh", "suff", "agree", "conf", "weight"]
    rows = [_card(card) for card in own if card.available]
    total = [category.name, signed(category.points, 2), signed(category.score, 2)]
    table = _table([head, *rows, total + [""] * 6], "lrrrrrrrr")
    absent = ", ".join(card.id for card in own if not card.available)
    return _joined(
        header(found, instant),
        [*table[:-1], "-" * len(table[0]), table[-1]],
        _paragraph(f"Not available: {absent}." if absent else ""),
        _paragraph(
            "contribution = score (halved in conflict, *) x confidence x weight; "
            "confidence = freshness x sufficiency x agreement"
        ),
        _foot(found),
    )


def card_text(found: Explanation, card: CardPart, instant: Instant) -> str:
    """One card from its raw measures to its points."""
    return _joined(
        header(found, instant),
        [f"{card.name} ({card.id})", *_sum(found, card)],
        _factors(card),
        _windows(card, found.source == "store"),
        _needs(card.needs, found.source == "store"),
        _paragraph(f"Formula: {card.formula}" if card.formula else ""),
        _paragraph(f"Source: {card.source}" if card.source else ""),
        _foot(found),
    )


def moves_text(moves: Moves, instant: Instant, category: str | None = None) -> str:
    """What changed: lines and categories, then the cards that moved most."""
    head = [f"{_mark(moves.mode_of_data)}{moves.symbol} {moves.mode}: bias "
            f"{signed(moves.then, 2)} -> {signed(moves.now, 2)}, {signed(moves.points, 2)} points",
            f"from {instant(moves.since)} to {instant(moves.ts)}, from {moves.origin}"]  # fmt: skip
    cards = [c for id, own in moves.cards.items() if category in (None, id) for c in own]
    cards.sort(key=lambda change: -abs(change.points))
    lines = [structs.replace(line, id=f"{line.id} (context)") for line in moves.lines]
    parts: Iterable[Change] = (*lines, *moves.categories)
    if category is not None:
        parts = [change for change in moves.categories if change.id == category]
    whole = None if category else Change("bias", moves.now, moves.then, moves.points)
    return _joined(
        head,
        _changed("by category", sorted(parts, key=lambda c: -abs(c.points)), whole),
        _changed("by card", cards, None),
        _paragraph(f"By the rule: {moves.rule}."),
    )


def header(found: Explanation, instant: Instant) -> list[str]:
    """What was decided, when, and where it is read from."""
    sides = " ".join(f"{w} {_SIDES[side]}" for w, side in found.agreement_by_window.items())
    agreement = "-" if found.agreement is None else f"{found.agreement:.0%}"
    return [
        f"{_mark(found.mode_of_data)}{found.symbol} {found.mode}: bias {signed(found.bias, 1)}, "
        f"{found.decision} ({found.state})",
        f"decided {instant(found.ts)}, in force at {instant(found.at)}",
        f"conviction ~{found.conviction:.0f}, coverage {found.coverage:.0%}, "
        f"agreement {agreement} ({sides})",
        *_worth(found),
        f"from {found.origin}",
    ]


def _worth(found: Explanation) -> list[str]:
    """What price may move and what a round trip costs; nothing of it says who is right."""
    worth = found.worth
    if worth is None or worth.expected_move_bps is None or worth.base_rate is None:
        return []
    cost = "unknown" if worth.cost_bps is None else f"{worth.cost_bps:.1f} bps"
    said = [
        f"by the horizon price moves {worth.expected_move_bps:.0f} bps on average; in and out "
        f"costs {cost}",
        f"confidence not calibrated; a coin's call comes true in {worth.base_rate:.0%}",
    ]
    if worth.peers_agree is not None:
        said.append(f"{worth.peers_agree:.0%} of its peers agree ({', '.join(worth.peers)})")
    return said


def signed(value: float | None, decimals: int) -> str:
    """With its sign; '-' for not known, no sign for what rounds to nothing."""
    if value is None:
        return "-"
    text = f"{value:+.{decimals}f}"
    return text if float(text) else f"{0:.{decimals}f}"


def _mark(mode_of_data: str) -> str:
    return "" if mode_of_data == "live" else f"{mode_of_data.upper()}  "


def _category(part: CategoryPart) -> list[str]:
    cards = f"{part.available}/{part.possible}"
    score = signed(part.score, 2)
    return [part.id, signed(part.points, 2), score, part.state, f"{part.weight:.2f}", cards]


def _card(card: CardPart) -> list[str]:
    parts = (card.freshness, card.sufficiency, card.agreement, card.confidence)
    strength = _plain(card.strength, 2) + ("*" if card.conflicted else " ")
    return [_cut(card.id, 24), signed(card.points, 2), signed(card.score, 2), strength,
            *(_plain(part, 2) for part in parts), f"{card.weight:.3f}"]  # fmt: skip


def _sum(found: Explanation, card: CardPart) -> list[str]:
    if not card.possible:
        return [f"{found.symbol} cannot have it in this mode: no feed brings its inputs."]
    if not card.available:
        return ["Not available at that decision, so it says nothing."]
    return [
        f"points        {signed(card.points, 4)} of the bias {signed(found.bias, 4)}",
        "              = bias x contribution / whole / S'",
        f"              whole {found.whole:.6g} (prior weights), S' {found.total:.6g},"
        f" gain {found.gain:.6g}",
        f"contribution  {card.contribution:+.6g} = +-strength x confidence x weight",
        f"score         {_plain(card.score)}, the windows' mean by weight",
    ]


def _factors(card: CardPart) -> list[str]:
    if not card.available:
        return []
    torn = ", halved in conflict" if card.conflicted else ""
    return [
        f"strength      {_plain(card.strength)} = |score|{torn}",
        f"confidence    {_plain(card.confidence)} = freshness {_plain(card.freshness)}"
        f" x sufficiency {_plain(card.sufficiency)} x agreement {_plain(card.agreement)}",
        "              score and confidence are kept, and weighed, in steps of 1/127",
        f"weight        {card.weight:.6g}" + (" (inverted)" if card.weight < 0 else ""),
    ]


def _windows(card: CardPart, stored: bool) -> list[str]:
    head = ["window", "weight", "raw", "centre", "scale", "normal.", "score", "samples", "suff"]
    if stored:
        weights = ", ".join(f"{part.window} {part.weight:g}" for part in card.windows)
        return [f"Windows by weight: {weights}", f"Raw measures and normalisers: {NOT_STORED}."]
    rows = [head, *map(_window, card.windows)]
    note = f"normalised = (raw - centre) / scale [{card.scale}]; score = tanh(normalised / 2)"
    return [*_table(rows, "lrrrrrrrr"), *wrap(note, WIDTH)]


def _window(part: WindowPart) -> list[str]:
    figures = (part.raw, part.centre, part.scale)
    return [part.window, f"{part.weight:g}", *("-" if x is None else f"{x:.4g}" for x in figures),
            signed(part.normalised, 3), signed(part.score, 3),
            "-" if part.samples is None else f"{part.samples:.1f}",
            _plain(part.sufficiency, 2)]  # fmt: skip


def _needs(needs: Sequence[NeedPart], stored: bool) -> list[str]:
    if stored:
        names = ", ".join(need.need for need in needs)
        return _paragraph(f"Needs {names}; their ages and venues: {NOT_STORED}." if names else "")
    out = []
    for part in needs:
        if part.limit is None:
            out.append(f"needs {part.need}, which no feed has to bring")
            continue
        age = "never heard" if part.age is None else f"{part.age:.1f} s old"
        venues = ", ".join(f"{v} {_seconds(at)}" for v, at in part.venues.items()) or "no feed"
        text = (f"needs {part.need}: {age}, fresh {_plain(part.freshness, 2)} "
                f"(limit {part.limit:g} s); {venues}")  # fmt: skip
        out += wrap(text, WIDTH, subsequent_indent="  ")
    return out


def _seconds(age: float | None) -> str:
    return "silent" if age is None else f"{age:.1f} s"


def _changed(title: str, found: Sequence[Change], whole: Change | None) -> list[str]:
    """The largest changes, the rest as one line, so that the column adds up."""
    moved = [change for change in found if change.points]
    rows = [[title, "now", "then", "points"]]
    rows += [[_cut(c.id, 30), *map(_two, (c.now, c.then, c.points))] for c in moved[:SHOWN]]
    if rest := moved[SHOWN:]:
        rows.append([f"{len(rest)} others", "", "", _two(sum(c.points for c in rest))])
    if whole is not None:
        rows.append([whole.id, *map(_two, (whole.now, whole.then, whole.points))])
    return _table(rows, "lrrr") if len(rows) > 1 else [f"{title}: nothing changed"]


def _two(value: float | None) -> str:
    return signed(value, 2)


def _bent(found: Explanation) -> list[str]:
    return [f"bias = 100 x tanh(gain {found.gain:.6g} x S' {found.total:+.6g})"]


def _foot(found: Explanation) -> list[str]:
    return [line for note in found.notes for line in _paragraph(f"Note: {note}.")]


def _plain(value: float | None, decimals: int = 4) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"


def _paragraph(text: str) -> list[str]:
    return wrap(text, WIDTH)


def _table(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(row, widths, align, strict=True)
        )
        for row in rows
    ]


def _joined(*blocks: Sequence[str]) -> str:
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block)
