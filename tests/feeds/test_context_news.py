"""Headlines: what is read of a feed, told once, and how a title is understood."""

from datetime import UTC, datetime
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS
from engine.config import load
from engine.events import Headline
from engine.feeds.context import build
from engine.feeds.context.words import named, polarity
from engine.feeds.feed import Context, DecodeError

CONFIG, _ = load()
SYMBOLS = [instrument.id for instrument in CONFIG.instruments]
BLOCK = CONFIG.feeds["context"]
URL = BLOCK.urls["coindesk"]
NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()) * NS
DATE = "Sun, 22 Nov 2026 08:15:00 +0000"
PUBLISHED = NOW - (3 * 3600 + 45 * 60) * NS


def item(title: str, link: str = "https://x/a", date: str = DATE, guid: str = "") -> str:
    tag = f"<guid isPermaLink='false'>{guid}</guid>" if guid else ""
    link = escape(link)
    return f"<item><title>{title}</title><link>{link}</link>{tag}<pubDate>{date}</pubDate></item>"


def rss(*items: str) -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:dc="urn:dc"><channel>'
    return f"{head}<title>An outlet</title>{''.join(items)}</channel></rss>"


def feed():
    return build(BLOCK, CONFIG.instruments)


def decode(data: str | bytes, made=None, url: str = URL, recv: int | None = NOW) -> list[Headline]:
    return list((made or feed()).decode(data, Context(recv=recv, url=url)))


def refused(data: str | bytes) -> str:
    with pytest.raises(DecodeError) as error:
        decode(data)
    return error.value.args[0]


def test_a_headline():
    (headline,) = decode(rss(item("Bitcoin Surges as XRP &amp; LINK Follow", guid="1")))
    assert headline == Headline(
        venue="context",
        market="spot",
        symbol=None,
        ts=PUBLISHED,
        recv=NOW,
        history=True,
        title="Bitcoin Surges as XRP & LINK Follow",
        outlet="coindesk",
        url="https://x/a",
        polarity=polarity("Bitcoin Surges"),
        symbols=["BTCUSDT", "XRPUSDT", "LINKUSDT"],
    )


def test_each_is_told_once_and_the_first_answer_is_history():
    made = feed()
    old = [item(f"Old {n}", f"https://x/{n}", guid=str(n)) for n in range(40)]
    first = decode(rss(*old), made)
    assert len(first) == 40
    assert all(h.history and h.ts == PUBLISHED for h in first)
    assert decode(rss(*old), made) == []
    renamed = item("Old 0, updated", "https://x/0?utm=1", guid="0")
    (fresh,) = decode(rss(item("New", "https://x/new"), renamed, *old), made)
    assert (fresh.title, fresh.history) == ("New", False)
    elsewhere = decode(rss(*old), made, BLOCK.urls["decrypt"])
    assert len(elsewhere) == 40
    assert all(h.history and h.outlet == "decrypt" for h in elsewhere)


def test_what_is_remembered_is_bounded():
    made = feed()
    kept = item("Kept", "https://x/kept")
    for page in range(14):
        items = [item("x", f"https://x/{page}-{n}") for n in range(400)]
        told = [h.title for h in decode(rss(kept, *items), made)]
        assert told.count("Kept") == (page == 0), "still in the feed, so still known"
    assert len(made._news._told) == 5000


def test_dates():
    def ts(date: str) -> int:
        return decode(rss(item("x", date=date)))[0].ts

    assert ts("Sun, 22 Nov 2026 03:15:00 EST") == PUBLISHED
    assert ts("2026-11-22T08:15:00Z") == PUBLISHED
    assert ts("2026-11-22T09:15:00+01:00") == PUBLISHED
    assert ts("Mon, 23 Nov 2026 08:15:00 GMT") == NOW, "never after it was received"
    for unknown in ("", "soon", "Sun, 99 Nov 2026 08:15:00 GMT", "0001-01-01"):
        assert ts(unknown) == NOW


def test_atom():
    entry = """<entry><title type="html">Ether &amp;#8217;s fall</title><id>tag:1</id>
    <link rel="self" href="https://x/self"/><link href="https://x/page"/>
    <updated>2026-11-22T08:15:00Z</updated></entry>"""
    text = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title>{entry}</feed>'
    (headline,) = decode(text)
    assert (headline.title, headline.url) == ("Ether ’s fall", "https://x/page")
    assert headline.ts == PUBLISHED


def test_titles_are_one_plain_line():
    def title(text: str) -> str:
        return decode(rss(item(text)))[0].title

    assert title("<![CDATA[ A  b\n c &amp; d ]]>") == "A b c & d"
    assert title("a&amp;#27;[31mb&#8238;c&amp;#x9b;d") == "a[31mbc›d"
    assert len(title("x" * 1000)) == 300


def test_items_that_cannot_be_shown_are_left_out():
    bad = [item("", "https://x/1"), item("x", "javascript:alert(1)"), item("x", ""),
           item("x", "https://["), item("x", "/relative"), "<item/>"]  # fmt: skip
    assert [h.title for h in decode(rss(*bad, item("Good")))] == ["Good"]


def test_unsafe_or_broken_xml():
    entity = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><rss><channel/></rss>'
    outside = '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss>&a;</rss>'
    assert refused(entity) == refused(outside) == "unsafe XML"
    assert refused("<html><body>Just a moment...</body></html>") == "no RSS or Atom"
    assert refused("<html><p>unclosed</html>") == "not XML"
    assert refused("") == "not XML"
    assert refused('<?xml version="1.0" encoding="klingon"?><rss/>') == "not XML"
    assert refused("\ud800") == "not XML"
    assert refused(b"<rss>" + b"x" * 8_000_000) == "feed too long"
    assert decode(b"\xef\xbb\xbf" + rss(item("After a mark")).encode())[0].title == "After a mark"


@pytest.mark.parametrize(
    ("title", "sign"),
    [
        ("Bitcoin surges past $110,000 as ETF inflows hit record high", 1),
        ("SEC approves spot Solana ETF", 1),
        ("Chainlink partners with Mastercard", 1),
        ("$300M in shorts liquidated as BTC rebounds", 1),
        ("Exchange denies hack rumours", 1),
        ("No bankruptcy for lender, judge says", 1),
        ("Ether slides 5% as traders brace for a rate hike", -1),
        ("DeFi protocol drained of $40M in exploit", -1),
        ("Analysts warn of death cross", -1),
        ("Is a Sell-Off Coming?", -1),
        ("Binance delists three tokens", -1),
        ("Hackathon winners announced by the Bank of England", 0),
        ("Tether mints 1 billion USDT", 0),
        ("", 0),
    ],
)
def test_tone(title, sign):
    tone = polarity(title)
    assert (tone > 0) - (tone < 0) == sign
    assert polarity(title.upper()) == tone


@given(st.text(max_size=200))
@settings(deadline=None)
def test_tone_is_bounded(title):
    assert -1 <= polarity(title) <= 1
    assert set(named(title, SYMBOLS)) <= set(SYMBOLS)


@pytest.mark.parametrize(
    ("title", "bases"),
    [
        ("Bitcoin near record high: the link between flows and price", "BTC"),
        ("Bitcoin Near Record High: The Link Between Flows", "BTC"),
        ("LINK and NEAR jump", "NEAR LINK"),
        ("NEAR Protocol and Near Protocol", "NEAR"),
        ("An apt choice: connect the dot, file near, suit yourself", ""),
        ("Sui Network halts", "SUI"),
        ("Sui generis status for DAOs; Connect the Dots", ""),
        ("SUI, DOT and APT fall", "SUI DOT APT"),
        ("North Korean APT group targets crypto firms", ""),
        ("US DOT studies transportation tokens", ""),
        ("DOGE agency cuts federal jobs", ""),
        ("DOGE rallies", "DOGE"),
        ("An Avalanche of Liquidations", ""),
        ("Avalanche Foundation raises $1B", "AVAX"),
        ("Ripple effects of tariffs", ""),
        ("Ripple wins in court", "XRP"),
        ("Bitcoin Cash and Ethereum Classic", ""),
        ("Ether and solana", "ETH"),
        ("Solana's SOL and $pepe, $PEPE", "SOL PEPE"),
        ("ETH-based token, ADA/USDT", "ETH ADA"),
        ("Hyperliquid (HYPE) is worth the hype", "HYPE"),
        ("BITCOIN CRASHES NEAR 80K, LINK IN BIO", "BTC"),
        ("BITCOIN AND $LINK CRASH", "BTC LINK"),
        ("Filecoin, Arbitrum, Ethena, Aave, Litecoin, Tron", "TRX LTC AAVE ENA ARB FIL"),
        ("Cardano and Polkadot, Dogecoin and Aptos on BNB Chain", "BNB ADA DOT APT DOGE"),
    ],
)
def test_symbols_named(title, bases):
    assert {s.removesuffix("USDT") for s in named(title, SYMBOLS)} == set(bases.split())


def test_symbols_of_the_users_own():
    own = ["WIFUSDT", "SUSDT", "1INCHUSDT"]
    assert named("WIF and 1INCH rise, S does not", own) == ["WIFUSDT", "1INCHUSDT"]
    assert named("Sonic ($S) and a wif hat", own) == ["SUSDT"]
