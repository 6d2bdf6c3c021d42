"""Config: what is in force, what is refused and in which words."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.config import (
    BUILT_IN,
    COMMAND_LINE,
    ConfigError,
    Layer,
    choose,
    combine,
    default_path,
    in_force,
    load,
    merge,
    parse,
    read_layers,
    user_path,
)

FIRST_SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def write(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    """The sentence for a config that is refused, without the file's name."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as error:
        load(path)
    sentence = str(error.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


def test_default_has_the_21_symbols_and_is_the_only_file() -> None:
    config, files = load()
    assert files == [default_path()]
    assert len(config.symbols) == 21
    assert [s.id for s in config.symbols][:3] == FIRST_SYMBOLS
    assert {s.group for s in config.symbols} == {"layer1", "layer2", "meme", "defi", "storage"}


def test_built_in_defaults_equal_the_file(tmp_path: Path) -> None:
    """Whoever starts from a bare Config gets what the file says."""
    config, _ = load()
    bare = {k: yaml.safe_load(default_path().read_text())[k] for k in ("symbols", "modes")}
    small = parse({**bare, "feeds": {}, "categories": {}}, "bare")
    for part in ("connection", "decision", "market", "store", "recording", "cockpit", "log"):
        left, right = getattr(config, part), getattr(small, part)
        for name in left.__struct_fields__:
            if name != "gain_note":
                assert getattr(left, name) == getattr(right, name), f"{part}.{name}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lag: 1", "lag: no such key; allowed here: symbols, feeds, modes, categories"),
        ("log: {level: loud}", "log.level: is the text 'loud'; must be one of debug, error"),
        ("log: 5", "log: is 5; must be keys with values: level, path"),
        ("log: null", "log: is null; must be keys with values: level, path"),
        ("modes: {scalp: {windows: {2m: 1}}}", "modes.scalp.windows.2m: no such key; allowed"),
        ("modes: {day: {every: 15}}", "modes.day.every: is 15; must be a whole number 10 or more"),
        ("symbols: []", "symbols: is a list of 0; must be a list of 1 to 100"),
        ("symbols: [{id: BTC}]", "symbols[0].id: is the text 'BTC'; must be a coin and USDT"),
        ("symbols: [{id: AUSDT}, {id: AUSDT}]", "symbols: AUSDT is listed twice"),
        ("symbols: [{id: AUSDT, kind: b}]", "symbols[0].kind: no such key; allowed here: id, cl"),
        ("feeds: {nowhere: {}}", "feeds.nowhere: no such key; allowed here: binance"),
        ("feeds: {binance: {urls: {rset: x}}}", "feeds.binance.urls.rset: no such key; allowed"),
        (
            "feeds: {binance: {urls: {rest: 'ftp://x'}}}",
            "feeds.binance.urls.rest: is the text 'ftp://x'; must be a URL that begins with wss://",
        ),
        ("feeds: {binance: {enabled: 'yes'}}", "feeds.binance.enabled: is the text 'yes'; must"),
        (
            "feeds: {binance: {request_weight: '5'}}",
            "feeds.binance.request_weight: is the text '5'; must be a number above 0, at most"
            " 1000000000; written as 5, without quotes",
        ),
        ("decision: {min_coverage: 1e-1}", "decision.min_coverage: is the text '1e-1'; must be"),
        ("decision: {ladder: [1, 2]}", "decision.ladder: is a list of 2; must be a list of 3"),
        ("decision: {ladder: [3, 2, 1]}", "decision.ladder: is [3.0, 2.0, 1.0]; must rise"),
        ("decision: {dead_band: 1}", "decision.dead_band: is 1; must be a number from 0 to below"),
        ("cockpit: {timezone: Mars}", "cockpit.timezone: is 'Mars'; must be local, UTC or a name"),
        ("cockpit: {timezone: ../../etc}", "cockpit.timezone: is '../../etc'; must be local"),
        ("cockpit: {paint_hz: .nan}", "cockpit.paint_hz: is nan; must be a number from 0.2 to 10"),
        ("cockpit: {paint_hz: .inf}", "cockpit.paint_hz: is inf; must be a number from 0.2 to 10"),
        ("categories: {momentm: 1}", "categories.momentm: no such key; allowed here: composite_"),
        ("categories: {momentum: 9}", "categories.momentum: is 9; must be a number from 0 to 4"),
        ("categories: {momentum: {day: 9}}", "categories.momentum.day: is 9; must be a number"),
        ("class_priors: {meme: {moon: 1}}", "class_priors.meme.moon: no such key; allowed here"),
        ("freshness: {trade: 3}", "freshness.trade: no such key; allowed here: bars, book"),
        ("recording: {level: 5.5}", "recording.level: is 5.5; must be a whole number from 1 to 19"),
        ("store: {path: 3}", "store.path: is 3; must be text or null"),
        ("log: {level: info}\nlog: {}", "line 2: the key 'log' is there twice"),
        ("log: [", "line "),
        ("- 1", "the top level must be keys with values"),
        ("log: !!python/name:os.system", "line 1: could not determine a constructor"),
        ("log: &a {level: *a}", "log.level: is keys with values; must be one of"),
    ],
)
def test_refusals_name_key_and_what_is_allowed(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal(tmp_path, text).startswith(sentence)


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^here: modes\.scalp: missing; add it$"):
        parse({"symbols": [{"id": "AUSDT"}], "feeds": {}, "modes": {}, "categories": {}}, "here")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path)


def test_own_file_is_merged_key_by_key(tmp_path: Path) -> None:
    config, files = load(write(tmp_path, "cockpit: {paint_hz: 1}\nsymbols: [{id: XLMUSDT}]"))
    assert files == [default_path(), tmp_path / "own.yaml"]
    assert (config.cockpit.paint_hz, config.cockpit.theme) == (1.0, "dark")
    assert [s.id for s in config.symbols] == ["XLMUSDT"]


def test_order_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config before $BLACKPERP_CONFIG before the user's file; never the current folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("cockpit: {paint_hz: 9}")
    assert load()[0].cockpit.paint_hz == 4
    user_path().parent.mkdir(parents=True)
    user_path().write_text("cockpit: {paint_hz: 3}")
    assert load()[0].cockpit.paint_hz == 3
    (tmp_path / "env.yaml").write_text("cockpit: {paint_hz: 2}")
    monkeypatch.setenv("BLACKPERP_CONFIG", str(tmp_path / "env.yaml"))
    assert load()[0].cockpit.paint_hz == 2
    assert load(write(tmp_path, "cockpit: {paint_hz: 1}"))[0].cockpit.paint_hz == 1


def test_a_file_asked_for_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="from --config"):
        load(tmp_path / "none.yaml")
    monkeypatch.setenv("BLACKPERP_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="from BLACKPERP_CONFIG"):
        load()


def test_an_error_names_the_layer_it_came_from(tmp_path: Path) -> None:
    path = write(tmp_path, "cockpit: {paint_hz: 1}")
    with pytest.raises(ConfigError, match=f"^{COMMAND_LINE}: cockpit.timezone: is 'Mars'"):
        load(path, {"cockpit": {"timezone": "Mars"}})


def test_known_feeds_beside_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, "feeds: {other: {urls: {}}}")
    config, _ = load(path, known_feeds=("other",))
    assert set(config.feeds) == {*load()[0].feeds, "other"}


def test_choosing_symbols_and_feeds() -> None:
    layers = read_layers()
    config = load(overrides=choose(layers, ["dogeusdt", "XLMUSDT"], ["binance"]))[0]
    assert [(s.id, s.group) for s in config.symbols] == [
        ("DOGEUSDT", "meme"),
        ("XLMUSDT", "layer1"),
    ]
    assert config.feeds["binance"].enabled
    with pytest.raises(ConfigError, match="no feed nowhere; there is binance"):
        choose(layers, feeds=["nowhere"])


def test_values_in_force_and_their_origin(tmp_path: Path) -> None:
    path = write(tmp_path, "cockpit: {paint_hz: 1}")
    layers = [*read_layers(path), Layer(COMMAND_LINE, {"cockpit": {"mouse": False}})]
    values = in_force(combine(layers), layers)
    assert values["cockpit.paint_hz"] == (1.0, str(path))
    assert values["cockpit.mouse"] == (False, COMMAND_LINE)
    assert values["cockpit.theme"] == ("dark", str(default_path()))
    assert values["symbols[0].id"] == ("BTCUSDT", str(default_path()))
    assert {origin for _, origin in values.values()} <= {
        str(path),
        str(default_path()),
        COMMAND_LINE,
        BUILT_IN,
    }


def test_category_weights() -> None:
    config, _ = load(overrides={"categories": {"momentum": {"day": 0.5}, "defi": 2}})
    assert config.category_weight("momentum", "day") == 0.5
    assert config.category_weight("defi", "swing") == 2.0
    assert config.category_weight("unheard of", "scalp") == 1.0


KEYS = st.sampled_from(
    (
        *("symbols", "id", "class", "feeds", "binance", "urls", "modes", "scalp", "windows", "1m"),
        *("every", "categories", "momentum", "decision", "ladder", "cockpit", "timezone", "x"),
    )
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@cache
def default_layers() -> list[Layer]:
    return read_layers()


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(KEYS, PLAIN, max_size=4))
def test_anything_is_taken_or_refused_in_one_sentence(values: dict[str, Any]) -> None:
    layers = [*default_layers(), Layer("own", values)]
    sentence = ""
    try:
        combine(layers)
    except ConfigError as error:
        sentence = str(error)
        event("refused")
    assert sentence == "" or sentence.count(": ") >= 2
    assert "Expected" not in sentence


@settings(deadline=None)
@given(st.dictionaries(KEYS, PLAIN, max_size=4), st.dictionaries(KEYS, PLAIN, max_size=4))
def test_merge_keeps_every_key_and_the_upper_leaves(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    merged = merge(base, over)
    assert merged.keys() == base.keys() | over.keys()
    for key, value in over.items():
        if not (isinstance(value, dict) and isinstance(base.get(key), dict)):
            assert merged[key] is value
    assert repr(merge(merged, over)) == repr(merged)
