"""Pages of history, cut where they are cut at any other start, so that an answer can be kept."""

Stretch = tuple[int, int]


def stretches(first: int, end: int, most: int, cut: int) -> list[Stretch]:
    """[first, end) in pieces of at most `most`, newest first; all in rows since the epoch.

    Cuts are multiples of `cut`, and a piece's end tells where it begins, but for the oldest one,
    which begins at `first`. With `cut` = `most` no page ever changes once it is full; a smaller
    one makes up a short history of fewer requests.
    """
    out = []
    while end > first:
        begin = max(first, -((most - end) // cut) * cut)
        out.append((begin, end))
        end = begin
    return out
