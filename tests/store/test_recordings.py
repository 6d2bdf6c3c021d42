"""Recordings: what was received comes back, whatever cut, filled or damaged the files."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
import zstandard
from hypothesis import given, settings

from engine.feeds.feed import Frame
from engine.store import recordings
from engine.store.blocks import index_path, read_index
from engine.store.errors import StoreError
from engine.store.frames import decode_frame, encode_frame
from engine.store.lock import Locked
from engine.store.recordings import HOUR, Recorder, file_name, read

NS = 1_000_000_000
START = 1_795_000_000 * NS // HOUR * HOUR
URL = "wss://fstream.binance.com/public"


def frame(k: int, recv: int | None = None, size: int = 0) -> Frame:
    data = f'{{"e":"trade","k":{k},"p":"{"9" * size}"}}'
    return Frame(START + k * NS // 100 if recv is None else recv, "binance", "public-1", URL, data)


def record(folder: Path, frames: list[Frame]) -> None:
    recorder = Recorder(folder)
    for item in frames:
        assert recorder.put(item)
    recorder.close()
    assert recorder.problems.last == ""
    assert recorder.written == len(frames)


def blocks(folder: Path, count: int, each: int = 40) -> list[Frame]:
    """A recording of so many blocks in one file."""
    frames = [frame(k) for k in range(count * each)]
    for n in range(count):
        record(folder, frames[n * each : (n + 1) * each])
    assert len(read_index(folder / file_name(START))) == count
    return frames


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
FRAMES = st.builds(
    Frame,
    recv=st.integers(0, 2**62),
    feed=TEXT,
    connection=TEXT,
    url=TEXT,
    data=TEXT | st.binary(max_size=30),
    symbol=st.none() | TEXT,
)


@settings(deadline=None)
@given(FRAMES)
def test_a_frame_comes_back_from_its_line(sent: Frame) -> None:
    line = encode_frame(sent)
    assert line.count(b"\n") == 1
    found = decode_frame(line)
    data = sent.data
    if isinstance(data, bytes) and isinstance(found.data, str):
        data = data.decode()
    assert found == Frame(sent.recv, sent.feed, sent.connection, sent.url, data, sent.symbol)


def test_text_stays_readable_and_other_bytes_are_marked() -> None:
    text = Frame(5, "binance", "c", "u", b'{"s":"\xe2\x82\xbf"}', "BTCUSDT")
    assert encode_frame(text) == b'[5,"binance","c","u","{\\"s\\":\\"\xe2\x82\xbf\\"}","BTCUSDT"]\n'
    other = Frame(5, "binance", "c", "u", b"\xff\x00")
    assert encode_frame(other) == b'[5,"binance","c","u","/wA=",null,"base64"]\n'
    assert decode_frame(encode_frame(other)) == other


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_rubbish_is_no_frame(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeError)):
        decode_frame(line)


def test_hours_are_files_and_order_is_kept(tmp_path: Path) -> None:
    offsets = [-NS, 0, 5 * NS, -2 * NS, HOUR - 1, HOUR, HOUR - 5, 3 * HOUR, 2 * HOUR]
    frames = [frame(k, START + offset) for k, offset in enumerate(offsets)]
    record(tmp_path, frames)
    names = sorted(p.name for p in tmp_path.glob("*.zst"))
    assert names == [file_name(START + n * HOUR) for n in (-1, 0, 1, 3)]
    assert names[0] == "20261118T10.jsonl.zst"
    assert list(read(tmp_path)) == frames


def test_any_zstd_tool_reads_the_lines(tmp_path: Path) -> None:
    frames = blocks(tmp_path, 3)
    with (tmp_path / file_name(START)).open("rb") as raw:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        lines = reader.read().splitlines()
    assert [decode_frame(line) for line in lines] == frames


def test_a_file_packed_again_as_one_zstd_frame_reads_too(tmp_path: Path) -> None:
    frames = [frame(k, size=100) for k in range(20_000)]
    whole = b"".join(map(encode_frame, frames)).rstrip(b"\n")
    (tmp_path / "all.jsonl.zst").write_bytes(zstandard.compress(whole))
    reader = read(tmp_path)
    assert list(reader) == frames
    assert (reader.torn, reader.bad) == (0, 0)


def test_a_seek_gives_what_a_linear_scan_gives(tmp_path: Path) -> None:
    frames = blocks(tmp_path, 12)
    path = tmp_path / file_name(START)
    last = frames[-1].recv
    for start in (0, START, START + 1, frames[40].recv, frames[41].recv, last, last + 1):
        expected = [f for f in frames if f.recv >= start]
        assert list(read(tmp_path, start)) == expected
        assert list(read(path, start)) == expected
    index_path(path).unlink()
    assert list(read(path, frames[300].recv)) == frames[300:]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(0, 2 * HOUR), min_size=1, max_size=6), max_size=6), st.data())
def test_a_seek_is_right_however_disordered_the_clock(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    sent = []
    for part in parts:
        frames = [frame(k, START + offset) for k, offset in enumerate(part)]
        record(folder, frames)
        sent += frames
    if not sent:
        return
    start = START + data.draw(st.integers(-1, 2 * HOUR + 1))
    wanted = [f for f in read(folder) if f.recv >= start]
    assert sorted(wanted, key=repr) == sorted((f for f in sent if f.recv >= start), key=repr)
    assert list(read(folder, start)) == wanted


def test_a_missing_index_pair_only_seeks_earlier(tmp_path: Path) -> None:
    frames = blocks(tmp_path, 6)
    sidecar = index_path(tmp_path / file_name(START))
    raw = sidecar.read_bytes()
    sidecar.write_bytes(raw[:32] + raw[64:] + b"torn")
    assert list(read(tmp_path, frames[150].recv)) == frames[150:]


def test_every_cut_of_the_last_block_leaves_the_others(tmp_path: Path) -> None:
    frames = blocks(tmp_path, 3)
    path = tmp_path / file_name(START)
    whole, begin = path.read_bytes(), int(read_index(path)[2, 1])
    for cut in range(begin, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        reader = read(tmp_path)
        found = list(reader)
        assert found[:80] == frames[:80]
        assert found == frames[: len(found)]
        assert reader.torn == (begin < cut < len(whole))
        assert reader.bad == 0


def test_damage_costs_one_block(tmp_path: Path) -> None:
    frames = blocks(tmp_path, 4)
    path = tmp_path / file_name(START)
    raw = bytearray(path.read_bytes())
    at = int(read_index(path)[1, 1])
    raw[at + 60] ^= 0xFF
    path.write_bytes(raw)
    reader = read(tmp_path)
    assert list(reader) == frames[:40] + frames[80:]
    assert reader.torn == 1
    raw[at : at + 8] = b"\0" * 8
    path.write_bytes(raw)
    assert list(read(tmp_path)) == frames[:40] + frames[80:]


def test_a_new_recorder_goes_on_after_a_torn_tail(tmp_path: Path) -> None:
    frames = blocks(tmp_path, 3)
    path = tmp_path / file_name(START)
    path.write_bytes(path.read_bytes()[:-9])
    more = [frame(k) for k in range(200, 260)]
    record(tmp_path, more)
    reader = read(tmp_path)
    assert list(reader) == frames[:80] + more
    assert reader.torn == 0
    assert list(read(tmp_path, more[5].recv)) == more[5:]


def test_lines_that_are_no_frames_are_counted(tmp_path: Path) -> None:
    lines = [encode_frame(frame(1)), b"{}\n", b"[1,2\n", encode_frame(frame(2))]
    (tmp_path / "x.jsonl.zst").write_bytes(zstandard.compress(b"".join(lines)))
    reader = read(tmp_path)
    assert list(reader) == [frame(1), frame(2)]
    assert reader.bad == 2


def test_what_cannot_be_encoded_is_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.put(frame(1))
    recorder.put(Frame(START, "binance", "c", "u", "\ud800"))
    recorder.put(frame(2))
    recorder.close()
    assert recorder.problems.lost == 1
    assert list(read(tmp_path)) == [frame(1), frame(2)]


def test_a_second_recorder_is_refused(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, started=START)
    with pytest.raises(
        Locked, match=f"process {os.getpid()}, started .* another folder with --out"
    ):
        Recorder(tmp_path)
    recorder.close()
    assert not recorder.put(frame(1))
    Recorder(tmp_path).close()


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(StoreError, match="no recording there"):
            read(path)


def test_a_full_queue_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "QUEUE_BYTES", 10_000)
    monkeypatch.setattr(recordings, "TICK", 5.0)
    recorder = Recorder(tmp_path)
    time.sleep(0.05)
    taken = [recorder.put(frame(k, size=1000)) for k in range(20)]
    recorder.close()
    assert taken.count(True) == 10
    assert recorder.problems.dropped == 10
    assert len(list(read(tmp_path))) == 10


ENDLESS = """
import sys, time
from pathlib import Path
from engine.feeds.feed import Frame
from engine.store.recordings import Recorder
recorder = Recorder(Path(sys.argv[1]))
k = 0
while True:
    recorder.put(Frame(time.time_ns(), "binance", "c", "u", str(k)))
    if k % 10 == 0:
        print(time.monotonic_ns(), k, flush=True)
    k += 1
    time.sleep(0.001)
"""


@pytest.mark.slow
def test_a_killed_recorder_loses_less_than_its_last_second(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        time.sleep(2.5)
        killed = time.monotonic_ns()
        other.send_signal(signal.SIGKILL)
        said = [tuple(map(int, line.split())) for line in other.stdout.read().splitlines()]
    found = [int(f.data) for f in read(tmp_path)]
    assert found == list(range(len(found)))
    assert len(found) >= max(k for at, k in said if at <= killed - NS)


LIMITED = """
import resource, sys, time
from pathlib import Path
from engine.feeds.feed import Frame
from engine.store import recordings
recordings.TICK = 0.02
recorder = recordings.Recorder(Path(sys.argv[1]))
def put(first, last):
    for k in range(first, last):
        recorder.put(Frame(1795000000000000000 + k, "binance", "c", "u", f"{k} {hash(str(k))}"))
    time.sleep(0.3)
put(0, 100)
assert recorder.written == 100
size = next(Path(sys.argv[1]).glob("*.zst")).stat().st_size
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, unlimited[1]))
put(100, 200)
assert recorder.written == 100 and recorder.problems.waiting == 100, recorder.problems
assert recorder.problems.last == "recording not written: File too large", recorder.problems
assert next(Path(sys.argv[1]).glob("*.zst")).stat().st_size == size
if sys.argv[2] == "long":
    time.sleep(1.5)
    assert recorder.problems.lost == 100, recorder.problems
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
put(200, 300)
assert recorder.problems.last == "", recorder.problems
recorder.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("spell", "lost"), [("short", range(0)), ("long", range(100, 200))])
def test_a_full_disk_is_waited_for_and_then_gone_on_without(
    tmp_path: Path, spell: str, lost: range
) -> None:
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path), spell], check=True, timeout=60)
    reader = read(tmp_path)
    found = [int(str(f.data).split()[0]) for f in reader]
    assert found == [k for k in range(300) if k not in lost]
    assert reader.torn == 0


def test_a_recording_reads_while_it_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for k in range(100):
        recorder.put(frame(k))
    deadline = time.monotonic() + 5
    while recorder.written < 100 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(read(tmp_path)) == [frame(k) for k in range(100)]
    shutil.copytree(tmp_path, tmp_path / "copy")
    recorder.close()
    assert list(read(tmp_path / "copy")) == [frame(k) for k in range(100)]
