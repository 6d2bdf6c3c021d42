"""Uncrossing dYdX's books: the venue's own procedure, at the price of a look at the touch."""

import json
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import BookDelta, BookSnapshot
from engine.feeds.dydx.book import UncrossedBook
from engine.feeds.feed import Context, DecodeError
from engine.market.book import Book

Levels = list[tuple[float, float]]


def opened(bids: Levels, asks: Levels) -> tuple[UncrossedBook, Levels, Levels]:
    book = UncrossedBook("BTCUSDT")
    left = book.replace(bids, asks, 1)
    return book, *left


def test_levels_of_one_message_net_each_other_out():
    _, bids, asks = opened([(100, 1), (102, 3)], [(101, 2), (102, 0.5), (103, 1)])
    assert (bids, asks) == ([(100, 1), (102, 0.5)], [(103, 1)])
    _, bids, asks = opened([(100, 1), (99, 1)], [(100, 1), (101, 1)])
    assert (bids, asks) == ([(99, 1)], [(101, 1)])


def test_the_older_of_two_levels_goes():
    book, _, _ = opened([(100, 1), (99, 2), (98, 3)], [(101, 3), (102, 4)])
    assert book.apply([], [(99, 7)], 2) == ([(100, 0.0), (99, 0.0)], [(99, 7)])
    assert book.apply([(101, 5)], [], 3) == ([(101, 5)], [(99, 0.0), (101, 0.0)])
    assert (book.best_bid, book.best_ask) == (101, 102)


def test_what_does_not_cross_is_passed_on_as_it_came():
    book, _, _ = opened([(100, 1)], [(101, 1)])
    bids, asks = [(99.0, 1.0), (98.0, 0.0)], [(102.0, 0.0)]
    changed = book.apply(bids, asks, 2)
    assert changed[0] is bids
    assert changed[1] is asks


LEVEL = st.tuples(st.booleans(), st.integers(1, 12), st.integers(0, 3))


def naive(sides: dict[str, dict[int, list]]) -> None:
    """The venue's own procedure, level by level from the touch."""
    while sides["bids"] and sides["asks"]:
        bid, ask = max(sides["bids"]), min(sides["asks"])
        if bid < ask:
            return
        left, right = sides["bids"][bid], sides["asks"][ask]
        if left[1] < right[1]:
            del sides["bids"][bid]
        elif left[1] > right[1]:
            del sides["asks"][ask]
        else:
            traded = min(left[0], right[0])
            left[0] -= traded
            right[0] -= traded
            if not left[0]:
                del sides["bids"][bid]
            if not right[0]:
                del sides["asks"][ask]


@given(st.lists(st.lists(LEVEL, max_size=4), max_size=30))
@settings(deadline=None)
def test_uncrossing_is_the_venues_procedure(messages):
    """What is made of the returned changes, after every message, against a book done naively."""
    book, _, _ = opened([(5, 1)], [(6, 1)])
    shown = {"bids": {5: 1}, "asks": {6: 1}}
    sides = {"bids": {5: [1, 1]}, "asks": {6: [1, 1]}}
    for number, levels in enumerate(messages, 2):
        wanted = {"bids": {}, "asks": {}}
        for is_bid, price, size in levels:
            wanted["bids" if is_bid else "asks"][price] = size
        for side, sizes in wanted.items():
            for price, size in sizes.items():
                sides[side].pop(price, None)
                if size:
                    sides[side][price] = [size, number]
        naive(sides)
        said = [list(wanted[side].items()) for side in ("bids", "asks")]
        for side, changes in zip(("bids", "asks"), book.apply(*said, number), strict=True):
            shown[side] |= dict(changes)
            shown[side] = {price: size for price, size in shown[side].items() if size}
            assert shown[side] == {price: size for price, (size, _) in sides[side].items()}
        assert book.best_bid == max(book.bids, default=0.0)
        assert book.best_ask == min(book.asks, default=inf)
        assert book.best_bid < book.best_ask


def test_uncrossed_book_keeps_no_more_than_the_venue_states():
    book = UncrossedBook("BTCUSDT")
    book.replace([(1.0, 1.0)], [(2.0, 1.0)], 1)
    for number in range(2, 2000):
        book.apply([(1.0 + number / 1e6, 1.0)], [], number)
        book.apply([(1.0 + number / 1e6, 0.0)], [], number)
    assert len(book.bids) == len(book.asks) == 1


@pytest.fixture(scope="module")
def whole(seeds):
    """The feed's frames by what is in them; the first two open a book."""
    found = seeds("dydx")
    assert [seed.gives for seed in found.frames[:2]] == [[], ["BookSnapshot"]]
    return found


def never_crosses(whole, *frames: bytes | str) -> None:
    """The market's own book, after each of the frames of one connection."""
    made, book = whole.feed(), Book()
    for data in (*(seed.data for seed in whole.frames[:2]), *frames):
        try:
            events = made.decode(data, Context(recv=1))
        except DecodeError:
            events = ()
        for event in (e for e in events if e.symbol == "BTCUSDT"):
            if isinstance(event, BookSnapshot):
                book.snapshot(event)
            elif isinstance(event, BookDelta):
                book.delta(event)
        assert max(book.bids, default=0.0) < min(book.asks, default=inf)


@given(st.data(), st.integers(0, 500), st.integers(0, 8), st.binary(max_size=4))
@settings(max_examples=250)
def test_no_mutated_frame_crosses_the_markets_book(whole, data, at, skip, patch):
    frame = data.draw(st.sampled_from(whole.frames)).data
    at %= len(frame) + 1
    changes = [seed.data for seed in whole.frames[2:4]]
    never_crosses(whole, frame[:at], frame[:at] + patch + frame[at + skip :], *changes)


@given(st.data(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=12))
def test_no_order_of_messages_crosses_the_markets_book(whole, data, picked):
    shapes = [json.loads(seed.data) for seed in whole.frames[:6]]
    levels = st.lists(st.tuples(st.integers(95, 105), st.integers(0, 3)), max_size=3)
    frames = []
    for place, number in picked:
        shape = {**shapes[place], "message_id": number}
        if shape["type"] == "channel_data" and "bids" in shape["contents"]:
            shape["contents"] = {
                side: [[str(price), str(size)] for price, size in data.draw(levels)]
                for side in ("bids", "asks")
            }
        frames.append(json.dumps(shape))
    never_crosses(whole, *frames)
