"""Recorded input of every accepted form; damage is counted, never raised."""

import gzip
import io
import os
import threading
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.feeds.feed import Frame
from engine.jobs.lines import Line, data_files, merge, read_lines
from engine.store.frames import encode_frame

WIRE = Path(__file__).parents[3] / "shared" / "wire"
wire = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.exists(), reason="no recorded exchange messages beside it"),
]
FRAMES = [b'{"a":1}', b'{"stream":"x","data":{"t":5}}', b'[{"e":"mark"}]', b"[[1,2]]"]


def form(line: Line) -> tuple[int | None, bytes]:
    return line.recv, line.data


def zstd_frames(*parts: bytes) -> bytes:
    return b"".join(zstandard.ZstdCompressor().compress(part) for part in parts)


STAMPED = b"".join(b"%d %s\n" % (n + 10**18, frame) for n, frame in enumerate(FRAMES))
EXPECTED = [(n + 10**18, frame) for n, frame in enumerate(FRAMES)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.log", STAMPED),
        ("no-newline-at-the-end.log", STAMPED.rstrip()),
        ("crlf.log", STAMPED.replace(b"\n", b"\r\n")),
        ("blank-lines.log", STAMPED.replace(b"\n", b"\n\n")),
        ("one.gz", gzip.compress(STAMPED, mtime=0)),
        (
            "two-members.gz",
            gzip.compress(STAMPED[:30], mtime=0) + gzip.compress(STAMPED[30:], mtime=0),
        ),
        ("padded.gz", gzip.compress(STAMPED, mtime=0) + bytes(512)),
        ("one.zst", zstd_frames(STAMPED)),
        ("three-frames.zst", zstd_frames(STAMPED[:7], STAMPED[7:50], STAMPED[50:])),
        ("misnamed.txt", gzip.compress(STAMPED, mtime=0)),
    ],
)
def test_stamped_lines_in_every_wrapping(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    lines = list(read_lines(path))
    assert [form(line) for line in lines] == EXPECTED
    assert {(line.bad, line.source, line.feed) for line in lines} == {("", str(path), None)}


def test_own_recordings(tmp_path: Path) -> None:
    """As the recorder writes them: text readable, other bytes marked as base64."""
    frame = Frame(5, "binance", "public", "wss://host", '{"q":"é\\n"}', "BTCUSDT")
    path = tmp_path / "a.jsonl"
    binary = encode_frame(msgspec.structs.replace(frame, data=b"\xff\x00"))
    path.write_bytes(encode_frame(frame) + binary + b'[6,"f","c","u",{"raw":[1]}]\n')
    first, packed, second = read_lines(path)
    assert packed.data == b"\xff\x00"
    assert first == Line(
        5, '{"q":"é\\n"}'.encode(), "wss://host", "BTCUSDT", "binance", "public", str(path)
    )
    assert (second.data, second.symbol, second.feed) == (b'{"raw":[1]}', None, "f")


def test_cryptofeed_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"t":"header","format":2,"config":{}}\n'
        '{"t":"connect","conn":"w1","ts":1.5,"addr":"wss://host/linear"}\n'
        '{"t":"send","conn":"w1","ts":1.6,"addr":"wss://host/linear","data":"{}"}\n'
        '{"t":"recv","conn":"w1","ts":1786310819.5263570,"data":"{\\"a\\":1}"}\n'
        '{"conn":"h1","ts":1786310817,"url":"https://host/x?y=1","data":"[]","t":"http"}\n'
    )
    first, second = read_lines(path)
    assert form(first) == (1786310819526357000, b'{"a":1}')
    assert (first.url, first.connection) == ("wss://host/linear", "w1")
    assert form(second) == (1786310817000000000, b"[]")
    assert second.url == "https://host/x?y=1"


def test_bare_json_even_with_a_key_named_t(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    frames = [b'{"e":"trade","t":5}', b'{"t":"other","x":1}', b'[{"e":1}]', b"[1,2,3]"]
    path.write_bytes(b"\n".join(frames))
    assert [form(line) for line in read_lines(path)] == [(None, frame) for frame in frames]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"12345", "no frame after the time"),
        (b"123x {}", "no frame after the time"),
        (b"9" * 30 + b" {}", "no frame after the time"),
        (b"\x00\x00\x00", "not a frame"),
        (b"time,open,high", "not a frame"),
        (b'[5,"f","c","u","{\\"a', "torn frame"),
        (b'{"t":"recv","conn":"a","ts":1.5,"da', "torn frame"),
        (b'{"t":"recv","conn":"a","ts":null,"data":"{}"}', "no time"),
    ],
)
def test_bad_lines_say_why_and_keep_what_they_held(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"1 {}\n" + text + b"\n2 {}\n")
    lines = list(read_lines(path))
    assert [line.bad for line in lines] == ["", reason, ""]
    assert lines[1].data == text.strip()


@pytest.mark.parametrize("whole", [gzip.compress(STAMPED * 50, mtime=0), zstd_frames(STAMPED * 50)])
def test_a_torn_tail_keeps_what_came_before(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(whole[:-6])
    *lines, last = read_lines(path)
    assert last.bad == "torn tail"
    good = [form(line) for line in lines if not line.bad]
    assert good == (EXPECTED * 50)[: len(good)]


def test_damage_within_is_reported_once(tmp_path: Path) -> None:
    whole = bytearray(zstd_frames(STAMPED) + zstd_frames(os.urandom(2000)))
    whole[-900:-800] = bytes(100)
    path = tmp_path / "a.zst"
    path.write_bytes(bytes(whole[:-3]))
    lines = list(read_lines(path))
    assert [form(line) for line in lines[:4]] == EXPECTED
    assert lines[-1].bad in ("damaged compression", "torn tail")


@settings(deadline=None, max_examples=200)
@given(
    content=st.binary(max_size=300), head=st.sampled_from([b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
)
def test_no_bytes_raise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(head + content)
    for line in read_lines(path):
        assert isinstance(line, Line)


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=400), packed=st.sampled_from(["gz", "zst", "log"]))
def test_any_cut_leaves_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, cut: int, packed: str
) -> None:
    whole = {"gz": gzip.compress(STAMPED, mtime=0), "zst": zstd_frames(STAMPED), "log": STAMPED}[
        packed
    ]
    path = tmp_path_factory.getbasetemp() / f"cut.{packed}"
    path.write_bytes(whole[:cut])
    good = [form(line) for line in read_lines(path) if not line.bad]
    complete = sum(1 for a, b in zip(good, EXPECTED, strict=False) if a == b)
    assert len(good) - complete <= 1  # the last line may be cut within its frame


def test_a_folder_is_merged_by_receive_time(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "b.log").write_text("1 {}\n4 {}\n4 {}\n9 {}\n")
    (tmp_path / "day" / "a.gz").write_bytes(gzip.compress(b"2 {}\n3 {}\n10 {}\n", mtime=0))
    (tmp_path / "c.zst").write_bytes(zstd_frames(b'junk\n20 {}\n{"bare":1}\n5 {}\n21 {}\n'))
    (tmp_path / "README.md").write_text("no data")
    (tmp_path / ".hidden.log").write_text("0 {}\n")
    assert [p.name for p in data_files(tmp_path)] == ["b.log", "c.zst", "a.gz"]
    lines = list(read_lines(tmp_path))
    # A line without a time, or set back, keeps its place after its predecessor.
    assert [line.recv for line in lines if not line.bad] == [
        1, 2, 3, 4, 4, 9, 10, 20, None, 5, 21,
    ]  # fmt: skip
    assert [line.bad for line in lines if line.bad] == ["not a frame"]


def test_hourly_files_are_opened_when_due(tmp_path: Path) -> None:
    """A month of recordings must not need a month of open files."""
    for hour in range(40):
        (tmp_path / f"{hour:02}.log").write_text(f"{hour}1 {{}}\n{hour}2 {{}}\n")
    opened = []
    most = 0
    for line in merge(data_files(tmp_path)):
        opened.append(line.recv)
        most = max(most, sum("/0" in t or "/" in t for t in _open_files(tmp_path)))
    assert opened == sorted(opened, key=lambda t: t or 0)
    assert len(opened) == 80
    assert most <= 3


def _open_files(folder: Path) -> list[str]:
    if not Path("/proc/self/fd").exists():
        return []
    links = []
    for name in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(name.readlink()))
        except OSError:
            continue
    return [link for link in links if link.startswith(str(folder))]


def test_standard_input_answers_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    with io.TextIOWrapper(os.fdopen(read_end, "rb")) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(write_end, b"1 {}\n2 {")
        lines = read_lines("-")
        assert form(next(lines)) == (1, b"{}")
        closer = threading.Timer(0.05, lambda: (os.write(write_end, b"}\n"), os.close(write_end)))
        closer.start()
        assert [form(line) for line in lines] == [(2, b"{}")]
        closer.join()


def test_a_source_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_lines(tmp_path / "none.log")


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("binance_usdm/btcusdt_20240808.gz", 93_954),
        ("bybit/BYBIT.jsonl.zst", 3_229),
        ("coinbase/COINBASE.jsonl.zst", 1_031),
        ("hyperliquid", 55),
    ],
)
class TestRecorded:
    pytestmark = wire

    def test_every_line_is_read(self, path: str, count: int) -> None:
        lines = list(read_lines(WIRE / path))
        assert len(lines) == count
        assert not any(line.bad for line in lines)
        assert all(line.recv and line.data[:1] in b"{[" for line in lines)
