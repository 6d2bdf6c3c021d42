"""`decode`: the contract of its lines, the symbol hint, what is counted."""

import gzip
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.config import ConfigError, load
from engine.events import FeedStatus
from engine.feeds.feed import Context, Frame, build_feed
from engine.jobs.decode import SymbolHint, Tally, decode, decode_lines
from engine.jobs.lines import read_lines

WIRE = Path(__file__).parents[3] / "shared" / "wire"
wire = pytest.mark.skipif(not WIRE.exists(), reason="no recorded exchange messages beside it")
CONFIG, _ = load()
BOOK = '{"lastUpdateId":7,"E":3,"T":2,"bids":[["9.5","1"]],"asks":[["9.6","2"]]}'


def trade(symbol: str = "BTCUSDT", number: int = 1) -> str:
    return json.dumps(
        {"e": "aggTrade", "E": 1700000000001, "T": 1700000000000, "s": symbol, "a": number}
        | {"p": "10.5", "q": "2", "f": 1, "l": 1, "m": True}
    )


def run(folder: Path, text: str) -> tuple[list[dict[str, Any]], Tally]:
    path = folder / "in.log"
    path.write_text(text)
    out = io.BytesIO()
    tally = decode("binance", path, out, CONFIG)
    return [json.loads(line) for line in out.getvalue().splitlines()], tally


def test_a_line_is_what_the_contract_says(tmp_path: Path) -> None:
    path = tmp_path / "in.log"
    path.write_text(f"5 {trade()}\n{trade('1000PEPEUSDT')}\n")
    out = io.BytesIO()
    decode("binance", path, out, CONFIG)
    first, second = out.getvalue().splitlines()
    assert first == (
        b'{"kind":"trade","venue":"binance","market":"perp","symbol":"BTCUSDT",'
        b'"ts":1700000000000000000,"recv":5,"price":10.5,"size":2.0,"side":"sell","id":1}'
    )
    pepe = json.loads(second)
    assert pepe["recv"] is None
    assert (pepe["symbol"], pepe["price"], pepe["size"]) == ("PEPEUSDT", 0.0105, 2000.0)


def test_history_is_marked_and_only_history(tmp_path: Path) -> None:
    row = '[1700000000000,"1","3","0.5","2","10",1700000059999,"20",5,"4","8","0"]'
    url = "https://host/fapi/v1/klines?symbol=BTCUSDT&interval=1m"
    frame = Frame(1700000070_000000000, "binance", "rest", url, f"[{row}]", "BTCUSDT")
    events, _ = run(tmp_path, msgspec.json.encode(frame).decode() + f"\n5 {trade()}\n")
    assert [e["kind"] for e in events] == ["kline", "trade"]
    assert events[0]["history"] is True
    assert (events[0]["interval_s"], events[0]["taker_buy_volume"]) == (60, 4.0)
    assert "history" not in events[1]


def test_bad_lines_are_counted_with_reasons_and_samples(tmp_path: Path) -> None:
    text = f"5 {trade()}\n6 {{broken\nnonsense\x07\n7 {trade(number=2)}\n8 null\n"
    events, tally = run(tmp_path, text)
    assert [e["id"] for e in events] == [1, 2]
    assert (tally.lines, sum(tally.bad.values())) == (5, 3)
    assert tally.bad["not a frame"] == 1
    assert len(tally.samples) == 3
    assert all(sample.isprintable() for sample in tally.samples)
    assert tally.summary("binance").startswith(
        "binance: 2 events from 5 lines; 3 of 5 lines are bad ("
    )
    assert tally.usable == 2


def test_a_book_without_a_symbol_takes_the_only_one_seen(tmp_path: Path) -> None:
    events, tally = run(tmp_path, f"5 {trade('ETHUSDT')}\n6 {BOOK}\n")
    assert [(e["kind"], e["symbol"]) for e in events] == [
        ("trade", "ETHUSDT"),
        ("book_snapshot", "ETHUSDT"),
    ]
    assert not tally.bad


def test_a_book_before_any_symbol_waits_and_keeps_its_place(tmp_path: Path) -> None:
    events, tally = run(tmp_path, f"4 {{bad\n5 {BOOK}\n6 {trade('ETHUSDT')}\n")
    assert [(e["kind"], e["symbol"], e["recv"]) for e in events] == [
        ("book_snapshot", "ETHUSDT", 5),
        ("trade", "ETHUSDT", 6),
    ]
    assert sum(tally.bad.values()) == 1


def test_two_symbols_leave_a_nameless_book_without_one(tmp_path: Path) -> None:
    text = f"4 {trade('ETHUSDT')}\n5 {trade('BTCUSDT')}\n6 {BOOK}\n"
    events, tally = run(tmp_path, text)
    assert len(events) == 2
    assert tally.bad == Counter({"no symbol": 1})


def test_no_symbol_at_all_is_bad_not_lost(tmp_path: Path) -> None:
    events, tally = run(tmp_path, f"6 {BOOK}\n" * 3)
    assert events == []
    assert tally.bad == Counter({"no symbol": 3})


def test_each_file_of_a_folder_has_its_own_hint(tmp_path: Path) -> None:
    for n, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        text = f"{n}1 {BOOK}\n{n}2 {trade(symbol)}\n{n}3 {BOOK}\n"
        (tmp_path / f"{symbol}.gz").write_bytes(gzip.compress(text.encode()))
    out = io.BytesIO()
    decode("binance", tmp_path, out, CONFIG)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(e["recv"], e["symbol"]) for e in events] == [
        *((t, "BTCUSDT") for t in (1, 2, 3)),
        *((t, "ETHUSDT") for t in (11, 12, 13)),
    ]


def test_the_hint_turns_off_for_good() -> None:
    hint = SymbolHint()
    feed = build_feed("binance", CONFIG.feeds["binance"], CONFIG.instruments)
    for name, known in (("BTCUSDT", "BTCUSDT"), ("ETHUSDT", None)):
        hint.see(feed.decode(trade(name).encode(), Context(recv=None)))
        assert hint.symbol == known
    assert hint.several
    assert not hint.undecided


def test_lines_of_other_feeds_are_skipped(tmp_path: Path) -> None:
    frame = Frame(5, "elsewhere", "c", "u", trade())
    events, tally = run(tmp_path, msgspec.json.encode(frame).decode() + f"\n6 {trade()}\n")
    assert (len(events), tally.skipped, sum(tally.bad.values())) == (1, 1, 0)


def test_what_a_recording_tells_of_its_connections_is_no_event(tmp_path: Path) -> None:
    status = FeedStatus(
        venue="binance", market="perp", symbol=None, ts=5, recv=5, feed="binance",
        connection="public", state="connected",
    )  # fmt: skip
    frame = Frame(5, "binance", "status", "", msgspec.json.encode(status).decode())
    events, tally = run(tmp_path, msgspec.json.encode(frame).decode() + f"\n6 {trade()}\n")
    assert (len(events), tally.skipped, sum(tally.bad.values())) == (1, 1, 0)


def test_a_decoders_own_mistake_does_not_end_the_loop(tmp_path: Path) -> None:
    class Faulty:
        def decode(self, data: bytes, context: object) -> list[object]:
            raise KeyError(data)

    path = tmp_path / "in.log"
    path.write_text("5 {}\n6 {}\n")
    tally = Tally()
    feeds: Any = {"faulty": Faulty()}
    assert list(decode_lines(read_lines(path), feeds, "faulty", tally)) == []
    assert tally.bad == Counter({"unexpected KeyError": 2})


def test_an_unknown_feed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no feed is named nowhere; there is .*binance"):
        decode("nowhere", tmp_path, io.BytesIO(), CONFIG)


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    path = tmp_path / "in.log"
    path.write_text("".join(f"{n} {trade(number=n)}\n" for n in range(20_000)))
    program = "import sys; from cockpit.cli import main; sys.argv[0] = 'blackperp-cockpit'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "decode", "binance", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b'{"kind":"trade"')
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=20)


@pytest.mark.wire
@pytest.mark.slow
@wire
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("btcusdt", {"book_delta": 6551, "quote": 66089, "trade": 21313, "book_snapshot": 1}),
        ("ethusdt", {"book_delta": 6586, "quote": 53992, "trade": 14076, "book_snapshot": 1}),
    ],
)
def test_recorded_binance_frames(name: str, kinds: dict[str, int]) -> None:
    out = io.BytesIO()
    tally = decode("binance", WIRE / "binance_usdm" / f"{name}_20240808.gz", out, CONFIG)
    assert dict(tally.events) == kinds
    assert not tally.bad
    assert out.getvalue().count(b"\n") == sum(kinds.values())
    ids = [e["id"] for e in map(json.loads, out.getvalue().splitlines()) if e["kind"] == "trade"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
