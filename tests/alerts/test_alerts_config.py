"""The alerts section: what it takes, and in which words it refuses."""

from pathlib import Path

import pytest

from engine.config import AlertsConfig, ConfigError, load


def write(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_file_is_what_is_built_in() -> None:
    assert load()[0].alerts == AlertsConfig()


def test_own_rules_replace_all_and_the_rest_stays(tmp_path: Path) -> None:
    text = "alerts: {rules: [{rule: price, symbols: [BTCUSDT], level: 1e5}]}"
    with pytest.raises(ConfigError):
        load(write(tmp_path, text))
    config, _ = load(write(tmp_path, text.replace("1e5", "100000")))
    assert [rule.level for rule in config.alerts.rules] == [100000]
    assert config.alerts.bell
    assert load(write(tmp_path, "alerts: {rules: []}"))[0].alerts.rules == []


@pytest.mark.parametrize(("said", "meant"), [("off", False), ("'off'", "off"), ("osc9", "osc9")])
def test_desktop_in_yaml_s_words(said: str, meant: object, tmp_path: Path) -> None:
    """A bare off is false in YAML, and means off."""
    assert load(write(tmp_path, f"alerts: {{desktop: {said}}}"))[0].alerts.desktop == meant


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("desktop: on", "alerts.desktop: is true; must be off or osc9"),
        ("desktop: growl", "alerts.desktop: is the text 'growl'; must be off or osc9"),
        ("bell: 3", "alerts.bell: is 3; must be true or false"),
        ("rules: [{rule: bias}]", "alerts.rules[0].level: missing; add it"),
        ("rules: [{rule: bias, level: 140}]",
         "alerts.rules[0].level: is 140; must be from -100 to 100"),
        ("rules: [{rule: price, level: 5}]",
         "alerts.rules[0].symbols: missing; a price level belongs to a symbol"),
        ("rules: [{rule: price, level: -5, symbols: [BTCUSDT]}]",
         "alerts.rules[0].level: is -5; must be a price above 0"),
        ("rules: [{rule: state, level: 5}]",
         "alerts.rules[0].level: not for rule state, which takes states, seconds, symbols, modes"),
        ("rules: [{rule: feed_down}, {rule: flap}]",
         "alerts.rules[1].rule: is the text 'flap'; must be one of bias, conflict, deceleration,"
         " exhaustion, feed_down, flip, price, state"),
        ("rules: [{rule: state, modes: [night]}]",
         "alerts.rules[0].modes[0]: is the text 'night'; must be one of day, scalp, swing"),
    ],
)  # fmt: skip
def test_refusals(text: str, sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"alerts: {{{text}}}")
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value) == f"{path}: {sentence}"
