"""A channel whose symbols are spread over several sockets: what ends with one of them."""

from engine.clock import SimulatedClock
from engine.config import load
from engine.events import FeedStatus
from engine.feeds.feed import Connection, build_feed
from engine.feeds.link import Link
from engine.feeds.session import Session

ONE = Connection("books-1", "ws://a", (), (("depth", "BTCUSDT"), ("quote", "BTCUSDT")))
TWO = Connection("books-2", "ws://a", (), (("depth", "ETHUSDT"),))


def test_a_socket_takes_only_its_own_symbols_along() -> None:
    config, _ = load()
    told: list[FeedStatus] = []
    feed = build_feed("binance", config.feeds["binance"], config.instruments)
    session = Session(feed, config.feeds["binance"], config.connection, ["BTCUSDT", "ETHUSDT"],
                      SimulatedClock(1), lambda frame: None, told.append)  # fmt: skip

    def ended(link: Link) -> list[tuple[str | None, str | None]]:
        told.clear()
        session.closed(link, 0, "gone")
        return [(s.stream, s.symbol) for s in told if s.state == "closed"]

    links = [Link(session, connection) for connection in (ONE, TWO, ONE)]
    for link in links:
        session.opened(link.connection)
    assert ended(links[0]) == [], "its successor carries on"
    assert ended(links[2]) == [("quote", None), ("depth", "BTCUSDT")]
    assert ended(links[1]) == [("depth", None)]
