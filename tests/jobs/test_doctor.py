"""`doctor` against loopback servers that answer, refuse, stay silent or speak no TLS."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from engine.config import COMMAND_LINE, ConfigError, Layer, choose, load, read_layers
from engine.jobs.doctor import Check, examine

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(respond: Respond) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await respond(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def http(status: str, date: float | None = None) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        stamp = formatdate(time.time() if date is None else date, usegmt=True)
        writer.write(
            f"HTTP/1.1 {status}\r\nDate: {stamp}\r\nContent-Length: 2\r\n"
            "Connection: close\r\n\r\n{}".encode()
        )
        await writer.drain()

    return respond


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def layers(rest: str, socket_url: str) -> list[Layer]:
    urls = {"rest": rest, "public": f"{socket_url}/public", "market": f"{socket_url}/market"}
    alone = choose(read_layers(), feeds=["binance"])
    alone["feeds"]["binance"]["urls"] = urls
    return [*read_layers(), Layer(COMMAND_LINE, alone)]


async def checks(rest: str, socket_url: str, folder: Path) -> dict[str, Check]:
    found = await asyncio.to_thread(
        examine, lambda: layers(rest, socket_url), folder / "h.db", folder / "a.log"
    )
    return {check.name: check for check in found}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_all_is_well(tmp_path: Path) -> None:
    from websockets.asyncio.server import serve

    async def hold(connection: object) -> None:
        await asyncio.sleep(0.1)

    async with listening(http("200 OK")) as rest, serve(hold, "127.0.0.1", 0) as sockets:
        port = next(iter(sockets.sockets)).getsockname()[1]
        found = await checks(f"http://127.0.0.1:{rest}", f"ws://127.0.0.1:{port}", tmp_path)
    assert found["binance"].ok
    assert found["binance"].text == "127.0.0.1 by REST and socket answer"
    assert found["clock"].text == "agrees with the feeds' servers"
    assert found["data"].ok
    assert found["python"].ok


@pytest.mark.parametrize(
    ("status", "text", "mend"),
    [
        ("451 Unavailable For Legal Reasons", "451, blocked in your country", "use another feed"),
        ("403 Forbidden", "403, blocked for your address", "use another feed"),
        ("429 Too Many Requests", "429, too many requests", "wait a minute"),
        ("418 I'm a teapot", "418, banned for a while", "wait some minutes"),
        ("503 Service Unavailable", "HTTP 503", "try later"),
    ],
)
async def test_refusals_are_told_for_rest_and_sockets(
    tmp_path: Path, status: str, text: str, mend: str
) -> None:
    async with listening(http(status)) as port:
        found = await checks(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", tmp_path)
    check = found["binance"]
    assert not check.ok
    assert check.text.startswith("127.0.0.1 by REST and socket: ")
    assert text in check.text
    assert mend in check.mend
    assert check.works.startswith("7 of 173 cards keep their inputs without it")
    assert not check.fatal


async def test_nobody_listens_and_no_such_name(tmp_path: Path) -> None:
    found = await checks(f"http://127.0.0.1:{free_port()}", "wss://nowhere.invalid", tmp_path)
    text = "127.0.0.1 by REST: connection refused, nowhere.invalid by socket: the name cannot be"
    assert found["binance"].text.startswith(text)
    assert found["clock"].text == "plausible; no feed to compare it with"


async def test_no_tls_where_tls_is_asked_for(tmp_path: Path) -> None:
    async with listening(http("200 OK")) as port:
        found = await checks(f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}", tmp_path)
    assert "127.0.0.1 by REST and socket: TLS: " in found["binance"].text


async def test_a_clock_that_is_off(tmp_path: Path) -> None:
    async with listening(http("200 OK", date=time.time() - 60)) as port:
        found = await checks(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", tmp_path)
    assert not found["clock"].ok
    assert "ahead of the feeds' servers" in found["clock"].text


async def test_what_works_without_a_feed(tmp_path: Path) -> None:
    def all_on_loopback() -> list[Layer]:
        plain = choose(read_layers())
        base = load()[0].feeds
        urls = {n: dict.fromkeys(feed.urls, "http://127.0.0.1:1") for n, feed in base.items()}
        return [
            *read_layers(),
            Layer(COMMAND_LINE, {**plain, "feeds": {n: {"urls": u} for n, u in urls.items()}}),
        ]

    found = await asyncio.to_thread(examine, all_on_loopback, tmp_path / "h.db", tmp_path / "a.log")
    keeps = {c.name: int(c.works.split()[0]) for c in found if c.works and "of 173" in c.works}
    assert keeps["bybit"] == keeps["okx"] == 173, "other venues tell the same"
    assert keeps["binance"] < keeps["binance_positioning"] < keeps["context"] < keeps["deribit"]


@pytest.mark.slow
async def test_silence_ends_in_time(tmp_path: Path) -> None:
    async with listening(silent) as port:
        start = time.monotonic()
        found = await checks(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", tmp_path)
        took = time.monotonic() - start
    assert took < 10
    assert "127.0.0.1 by REST and socket: no answer within 4 s" in found["binance"].text


def test_a_wrong_config_is_fatal(tmp_path: Path) -> None:
    def refuse() -> list[Layer]:
        raise ConfigError("own.yaml: log: is 5")

    *_, last = examine(refuse, None, tmp_path / "a.log")
    assert (last.name, last.ok, last.fatal) == ("config", False, True)
    assert last.line() == "FAIL  config: own.yaml: log: is 5; mend that line"


async def test_a_data_folder_that_is_a_file_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = await checks("http://127.0.0.1:1", "ws://127.0.0.1:1", tmp_path / "file")
    assert found["data"].fatal
    assert not found["data"].ok
    assert "--db" in found["data"].mend


@pytest.mark.parametrize(
    ("environment", "ok", "text"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "COLORTERM truecolor"),
        ({"TERM": "tmux-256color", "TMUX": "/x,1,0"}, True, "inside tmux"),
        ({"TERM": "dumb"}, False, "TERM dumb"),
        ({}, False, "TERM not set"),
    ],
)
def test_terminal(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], ok: bool, text: str
) -> None:
    for name in ("TERM", "COLORTERM", "TMUX"):
        monkeypatch.delenv(name, raising=False)
        if name in environment:
            monkeypatch.setenv(name, environment[name])

    def refuse() -> list[Layer]:
        raise ConfigError("only the first checks are wanted")

    found = {check.name: check for check in examine(refuse, None, Path("a.log"))}
    assert found["terminal"].ok == ok
    assert text in found["terminal"].text
