"""Pages of history of all feeds: the same at the next start, so that an answer can be kept."""

from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.clock import NS
from engine.config import load
from engine.feeds.feed import Feed, Request, build_feed, feed_names
from engine.feeds.pages import stretches

NOW = 1_795_012_345 * NS + 678
SYMBOLS = ("BTCUSDT", "PEPEUSDT")
KEEPING = {"binance", "binance_positioning", "bybit", "okx", "gate", "hyperliquid", "deribit"}
CONFIG = load(overrides={"symbols": [{"id": s, "class": "layer1"} for s in SYMBOLS]})[0]


def built(name: str, host: str = "https://one") -> Feed:
    feed = CONFIG.feeds[name]
    urls = {key: urlsplit(url)._replace(scheme="https", netloc=host.removeprefix("https://"))
            for key, url in feed.urls.items()}  # fmt: skip
    moved = replace(feed, urls={key: url.geturl() for key, url in urls.items()})
    return build_feed(name, moved, CONFIG.instruments)


def final(feed: Feed, now: int) -> list[Request]:
    return [r for r in feed.backfill(now, SYMBOLS) if r.final is not None]


@given(
    end=st.integers(1, 2_000_000),
    rows=st.integers(1, 12_000),
    most=st.integers(1, 500),
    data=st.data(),
)
def test_stretches_make_up_the_whole(end, rows, most, data):
    cut = data.draw(st.integers(1, most))
    pieces = stretches(end - rows, end, most, cut)
    assert (pieces[0][1], pieces[-1][0]) == (end, end - rows)
    assert all(newer[0] == older[1] for newer, older in pairwise(pieces))
    assert all(0 < last - first <= most for first, last in pieces)
    assert all(first % cut == 0 for first, _ in pieces[:-1])


@given(
    end=st.integers(4000, 2_000_000),
    rows=st.integers(1, 3000),
    later=st.integers(0, 400),
    most=st.integers(1, 500),
)
def test_full_pages_never_change(end, rows, later, most):
    """At a later start a page with the same end begins where it did, or later where it is last."""
    then = {last: first for first, last in stretches(end - rows, end, most, most)}
    now = stretches(end + later - rows, end + later, most, most)
    assert all(first >= then[last] for first, last in now if last in then)
    full = {last for last in then if last % most == 0}
    assert full <= {last for _, last in now} | set(range(end + later - rows + 1))


def test_no_rows_are_no_pages():
    assert stretches(5, 5, 10, 10) == stretches(7, 5, 10, 10) == []


@pytest.mark.parametrize("name", feed_names())
def test_each_feed_keeps_what_it_can(name):
    asked = final(built(name), NOW)
    assert bool(asked) == (name in KEEPING)
    keys = [r.asked for r in asked]
    assert len(keys) == len(set(keys))
    assert all("one" not in key for key in keys)
    assert {r.asked for r in final(built(name, "https://two:81"), NOW)} == set(keys)


@pytest.mark.parametrize("name", sorted(KEEPING))
@pytest.mark.parametrize(("hours", "share"), [(0.1, 0.9), (3, 0.65), (26, 0.4)])
def test_most_is_found_again_at_the_next_start(name, hours, share):
    """And nothing was final too early: a kept page lies wholly before it was asked for."""
    now = NOW // (36 * 3600 * NS) * 36 * 3600 * NS + 8000 * NS
    kept = {r.asked for r in final(built(name), now) if r.final <= now}
    again = final(built(name), now + int(hours * 3600 * NS))
    found = [r for r in again if r.asked in kept]
    if name != "deribit" or hours < 1:
        assert len(found) >= share * len(again)
    assert all(r.final <= now for r in found)


@pytest.mark.parametrize("name", sorted(KEEPING - {"deribit"}))
def test_what_tells_of_now_is_not_kept(name):
    feed = built(name)
    assert all(r.final < NOW + 900 * NS for r in final(feed, NOW))
    newest = [r for r in feed.backfill(NOW, SYMBOLS) if r.final is None]
    assert {r.symbol for r in newest} >= set(SYMBOLS)
    assert all(r.final is None for r in feed.top_up(NOW - 3600 * NS, NOW, SYMBOLS))
    assert all(p.request.final is None for p in feed.polls())


@pytest.mark.parametrize("name", feed_names())
def test_no_url_is_asked_for_twice(name):
    wholes = [r.whole for r in built(name).backfill(NOW, SYMBOLS)]
    assert len(wholes) == len(set(wholes))


def test_a_post_is_asked_by_its_body():
    request = Request(url="https://x/info", weight=1, purpose="p", body='{"a":1}')
    assert request.whole == "https://x/info#" + '{"a":1}'
    assert request.asked == "/info#" + '{"a":1}'
    assert replace(request, page="BTC until 5").asked == "/info?BTC until 5"
    assert Request(url="http://h:1/a?b=c", weight=1, purpose="p").asked == "/a?b=c"
