"""Every example of the venues' documentation: decoded, refused on purpose, or of nothing we use.

documented.yaml holds what each file is expected to give, and why where that is nothing. Whether
it is of a stream or an endpoint that we use is not written there: the feeds' own subscriptions
and requests tell.
"""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from engine.clock import NS
from engine.feeds.feed import Context, DecodeError, Feed

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
DOCS = WIRE / "docs_examples"
TABLE = yaml.safe_load((Path(__file__).parent / "documented.yaml").read_text(encoding="utf-8"))
NOW = 1_795_000_050 * NS
QUERY = "symbol=BTCUSDT&contract=BTC_USDT&instId=BTC-USDT-SWAP&period=5m&category=linear"
pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not DOCS.is_dir(), reason="no recordings beside the checkout"),
]


class Example:
    """One file: `path` of an endpoint, `bodies` of its answer or frames, `answers` to commands."""

    def __init__(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8", errors="replace")
        self.path, self.answers = "", []
        if "Endpoints" in file.parts:
            _, self.path, _, rest = text.split("\n", 3)
            body = re.search(r"^\s*[\[{].*", rest, re.MULTILINE | re.DOTALL)
            self.bodies = [body[0].strip()] if body else []
        else:
            sent, *frames = re.split(r"^=\d*", text, flags=re.MULTILINE)
            self.bodies = [frame.strip() for frame in frames]
            self.answers = [ack(line[2:]) for line in sent.splitlines() if line.startswith("< ")]

    @property
    def channel(self) -> str:
        """What the first frame says it is of."""
        raw = json.loads(self.bodies[0])
        if "stream" in raw:
            return raw["stream"].partition("@")[2].partition("@")[0]
        if "topic" in raw:
            return raw["topic"].partition(".")[0]
        if "arg" in raw:
            return raw["arg"].get("topic") or raw["arg"]["channel"]
        return raw["channel"].rpartition(".")[2]

    def is_used(self, made: Feed) -> bool:
        """Whether the feed asks for it or subscribes to it."""
        return self.path in asked(made) if self.path else self.channel in subscribed(made)

    def url(self, made: Feed) -> str:
        return f"https://x{self.path}?{QUERY}" if self.path else made.connections()[0].url


def ack(text: str) -> str:
    """As the venue writes it: with a number for a placeholder and without blanks."""
    raw = json.loads(re.sub(r": \|1\||:-999", ":1", text))
    return json.dumps(raw, separators=(",", ":"))


def asked(made: Feed) -> set[str]:
    """Paths of all requests a feed ever makes."""
    requests = [made.catalogue_request(), made.book_request("BTCUSDT")]
    requests += [poll.request for poll in made.polls()]
    requests += made.backfill(NOW, ["BTCUSDT"])
    requests += made.top_up(NOW - 3600 * NS, NOW, ["BTCUSDT"])
    return {urlsplit(request.url).path for request in requests if request is not None}


def subscribed(made: Feed) -> set[str]:
    """Every name in its subscriptions."""
    frames = " ".join(text for link in made.connections() for text in link.subscribe)
    return set(re.findall(r"[\w-]+", frames))


def outcome(made: Feed, body: str, url: str) -> list[str] | str:
    """Kinds of the events, or the reason of the refusal."""
    try:
        return [type(e).__name__ for e in made.decode(body, Context(recv=None, url=url))]
    except DecodeError as error:
        return error.args[0]


def entries(part: str) -> list:
    """(folder, feed, file, what it gives) of one part of the table."""
    return [
        pytest.param(folder, feed, file, gives, id=f"{feed}-{Path(file).name}")
        for folder, block in TABLE.items()
        for feed, files in block.get(part, {}).items()
        for file, gives in files.items()
    ]


@pytest.fixture
def made(seeds):
    """made(folder, feed): a feed that knows the contracts of the examples."""

    def build(folder: str, name: str) -> Feed:
        feed = seeds(name).feed()
        more = TABLE[folder].get("catalogue")
        if more is not None:
            feed.listed(msgspec.json.encode(more))
        return feed

    return build


def test_every_file_has_its_place():
    for folder, block in TABLE.items():
        there = {p.relative_to(DOCS / folder).with_suffix("").as_posix()
                 for p in (DOCS / folder).rglob("*.txt")}  # fmt: skip
        unused = [file for files in block["unused"].values() for file in files]
        used = {file for files in block["used"].values() for file in files}
        assert len(unused) == len(set(unused))
        assert used.isdisjoint(unused)
        assert used | set(unused) == there, folder
    assert set(TABLE) == {folder.name for folder in DOCS.iterdir()}


@pytest.mark.parametrize(("folder", "feed", "file", "gives"), entries("used"))
def test_what_we_use(made, folder, feed, file, gives):
    example, one = Example(DOCS / folder / f"{file}.txt"), made(folder, feed)
    assert example.is_used(one)
    for body in example.bodies:
        assert outcome(one, body, example.url(one)) == gives
        raw = json.loads(body)
        if isinstance(raw, dict) and raw.keys() == {"stream", "data"}:
            assert outcome(one, json.dumps(raw["data"]), example.url(one)) == gives
    for answer in example.answers:
        assert outcome(one, answer, example.url(one)) == []
        assert one.is_ack(answer)


@pytest.mark.parametrize(("folder", "feed", "file", "gives"), entries("renamed"))
def test_examples_of_other_instruments_in_the_name_of_ours(made, folder, feed, file, gives):
    example, one = Example(DOCS / folder / f"{file}.txt"), made(folder, feed)
    (body,) = example.bodies
    for theirs, ours in TABLE[folder]["names"].items():
        body = body.replace(f'"{theirs}"', f'"{ours}"')
    assert outcome(one, body, example.url(one)) == gives


@pytest.mark.parametrize(
    ("folder", "file", "why"),
    [
        pytest.param(folder, file, why, id=f"{folder}-{Path(file).name}")
        for folder, block in TABLE.items()
        for why, files in block["unused"].items()
        for file in files
    ],
)
def test_what_we_do_not_use(made, folder, file, why):
    """No feed of the venue asks for it; if it came all the same it would be refused and counted.

    But for what looks like an answer we do ask for: `alike` says which.
    """
    assert len(why) > 10
    example = Example(DOCS / folder / f"{file}.txt")
    for feed in TABLE[folder]["used"]:
        one = made(folder, feed)
        assert not example.is_used(one)
        if not (example.path or one.connections()):
            continue
        alike = TABLE[folder].get("alike", {}).get(feed, {})
        for body in example.bodies:
            gives = outcome(one, body, example.url(one))
            assert gives == alike[file] if file in alike else isinstance(gives, str)
