"""Symbols: venue names to ours and back, with their lots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import load
from engine.instruments import Instrument, Listing, parse_name, split_lot, venue_name


@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("BTCUSDT", Listing("BTCUSDT", "BTC", "USDT", 1)),
        ("1000PEPEUSDT", Listing("PEPEUSDT", "PEPE", "USDT", 1000)),
        ("SHIB1000USDT", Listing("SHIBUSDT", "SHIB", "USDT", 1000)),
        ("10000SATSUSDT", Listing("SATSUSDT", "SATS", "USDT", 10_000)),
        ("1000000MOGUSDT", Listing("MOGUSDT", "MOG", "USDT", 1_000_000)),
        ("1MBABYDOGEUSDT", Listing("BABYDOGEUSDT", "BABYDOGE", "USDT", 1_000_000)),
        ("1INCHUSDT", Listing("1INCHUSDT", "1INCH", "USDT", 1)),
        ("BTCUSDC", Listing("BTCUSDC", "BTC", "USDC", 1)),
        ("BTCPERP", Listing("BTCUSDC", "BTC", "USDC", 1)),
        ("1000BONKPERP", Listing("BONKUSDC", "BONK", "USDC", 1000)),
    ],
)
def test_names_of_linear_contracts(name: str, listing: Listing) -> None:
    assert parse_name(name) == listing


@pytest.mark.parametrize("name", ["BTCUSDT_261225", "USDT", "", "BTCEUR", "btcusdt"])
def test_what_is_no_perpetual(name: str) -> None:
    assert parse_name(name) is None


def test_lots_of_single_coins() -> None:
    assert split_lot("kBONK") == ("BONK", 1000.0)
    assert split_lot("KAVA") == ("KAVA", 1.0)
    assert split_lot("4") == ("4", 1.0)


@pytest.mark.parametrize("venue", ["binance", "elsewhere"])
def test_configured_symbols_survive_the_round_trip(venue: str) -> None:
    for instrument in load()[0].instruments:
        listing = parse_name(venue_name(venue, instrument.id))
        assert listing is not None
        assert (listing.id, listing.base) == (instrument.id, instrument.base)


def test_pepe_is_sold_by_the_thousand_at_binance() -> None:
    assert venue_name("binance", "PEPEUSDT") == "1000PEPEUSDT"
    assert Instrument("PEPEUSDT", "meme").base == "PEPE"


@settings(deadline=None)
@given(st.text(max_size=24))
def test_any_text_is_a_listing_or_none(name: str) -> None:
    listing = parse_name(name)
    assert listing is None or (listing.lot >= 1 and listing.id == listing.base + listing.quote)
