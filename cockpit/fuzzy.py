"""Fuzzy search: the letters of a query in their order, wherever they stand in a name."""

from functools import lru_cache

WORD_START, RUN, LETTER, WHOLE = 6, 7, 1, 1000


@lru_cache(maxsize=4096)
def match(query: str, name: str) -> tuple[int, tuple[int, ...]] | None:
    """Score and places of the letters of `query` in `name`; None where they are not all there.

    Letters that begin a word or follow each other count most, a shorter name a little. Case and
    spaces of the query do not matter.
    """
    wanted = "".join(query.lower().split())
    text = name.lower()
    # best[i]: score and places of the letters so far, the last of which stands at i.
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    for n, letter in enumerate(wanted):
        best = {
            at: found
            for at, there in enumerate(text)
            if there == letter and (found := _placed(best, at, text, first=n == 0)) is not None
        }
    if not wanted:
        return 0, ()
    if not best:
        return None
    score, places = max(best.values(), key=lambda found: found[0])
    whole = WHOLE * (wanted == "".join(text.split()))
    return (score + whole) * 100 - len(name), places


def tidy(name: str, places: tuple[int, ...]) -> bool:
    """Whether letters stand in one run, or each begins a word or follows the one before."""
    begin = [at for n, at in enumerate(places) if n == 0 or places[n - 1] != at - 1]
    return len(begin) <= 1 or all(at == 0 or not name[at - 1].isalnum() for at in begin)


def _placed(
    before: dict[int, tuple[int, tuple[int, ...]]], at: int, text: str, first: bool
) -> tuple[int, tuple[int, ...]] | None:
    """The best way to have the next letter stand at a place."""
    own = LETTER + WORD_START * (at == 0 or not text[at - 1].isalnum())
    if first:
        return own, (at,)
    ways = [
        (score + max(own, LETTER + RUN * (last == at - 1)), (*places, at))
        for last, (score, places) in before.items()
        if last < at
    ]
    return max(ways, key=lambda way: way[0], default=None)
