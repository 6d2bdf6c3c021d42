"""The command line: options and their help; the work is in `cockpit.commands`, imported late."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from cockpit.instants import Since
from cockpit.settings import APP, COLORS, GLYPHS, Failure, Settings, harmless

Function = TypeVar("Function", bound=Callable[..., Any])
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
# As in engine/sim/market/scenario.py, which would take long to import for a help text.
SCENARIOS = {
    "default": "the market of every day, regimes and all",
    "breakout": "BTC leaves a range: the flow turns before the price does",
    "trap": "BTC's flow turns and the price does not follow",
    "cascade": "crowded longs are liquidated one below the other",
    "sunday": "a quiet Sunday: thin flow, small moves",
    "squeeze": "crowded shorts are liquidated one above the other",
    "spoof": "a wall under BTC is taken away whenever price comes near, until price falls through",
    "stale": "Bybit goes stale: its sockets stay open and bring nothing for four minutes",
    "funding": "crowded longs pay: premium and funding at the caps, open interest up, then relief",
    "stress": "BTC drops within minutes, the others follow by their beta, some of them later",
}
_EPILOG = "\b\nScenarios:\n" + "\n".join(f"  {n:<9} {t}" for n, t in SCENARIOS.items())
LEAST_RATE, MOST_RATE = 0.01, 5.0
_RATE_HELP = "Activity of the simulated market: 0.05 for a sparse one.  [default: 1]"
_READABLE = click.Path(exists=True, readable=True, path_type=Path)


def _speed(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A factor on real time; 0 for as fast as it goes."""
    if value == "max":
        return 0.0
    try:
        factor = None if value is None else float(value)
    except ValueError:
        factor = -1.0
    if factor is not None and not 0 < factor <= 1e6:
        raise click.BadParameter("give a number above 0, or max", ctx, param)
    return factor


def _rate(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Activity of the simulated market, 1 being the usual."""
    try:
        rate = None if value is None else float(value)
    except ValueError:
        rate = 0.0
    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        raise click.BadParameter(f"give a number from {LEAST_RATE:g} to {MOST_RATE:g}", ctx, param)
    return rate


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store a global option, wherever it was written; the later one wins."""
    if value is not None:
        setattr(ctx.ensure_object(Settings), str(param.name), value)


def _options(hidden: bool) -> Callable[[Function], Function]:
    def option(*names: str, **attributes: Any) -> Callable[[Function], Function]:
        return click.option(
            *names, **attributes, expose_value=False, callback=_keep, hidden=hidden, default=None
        )

    def decorate(function: Function) -> Function:
        for add in reversed(_globals(option)):
            function = add(function)
        return function

    return decorate


def _globals(option: Callable[..., Callable[[Function], Function]]) -> list[Any]:
    levels = click.Choice(["debug", "info", "warning", "error"])
    return [
        option("--config", metavar="FILE", help="Your config file."),
        option("--db", type=click.Path(path_type=Path, dir_okay=False), help="History database."),
        option("--log", metavar="FILE", help="Log file."),
        option("--log-level", type=levels, help="How much is logged."),
        option("--symbols", metavar="A,B", help="Only these symbols."),
        option("--feeds", metavar="A,B", help="Only these feeds."),
        option("--color", type=click.Choice(COLORS), help="Colours of the terminal."),
        option("--glyphs", type=click.Choice(GLYPHS), help="Characters for charts."),
        option("--tz", metavar="ZONE", help="Time zone shown: local, UTC, Europe/Berlin."),
        option("--no-mouse", "mouse", flag_value=False, help="Leave the mouse to the terminal."),
        option("--json", "json", flag_value=True, help="JSON on standard output, nothing else."),
    ]


@click.group(invoke_without_command=True, context_settings=HELP)
@_options(hidden=False)
@click.version_option(package_name=APP, message="%(prog)s %(version)s")
@click.pass_context
def cockpit(ctx: click.Context) -> None:
    """A terminal cockpit for crypto perpetual futures: without a command, the live market.

    It reads public market data only, needs no account and places no orders. Not financial advice.
    """
    ctx.ensure_object(Settings)
    if ctx.invoked_subcommand is None:
        from cockpit.commands.market import live

        live(ctx.obj)


def _command(
    group: click.Group,
    name: str,
    epilog: str | None = None,
    cls: type[click.Command] = click.Command,
) -> Callable[[Callable[..., None]], click.Command]:
    """A command that takes every global option too and is given the settings first."""

    def decorate(function: Callable[..., None]) -> click.Command:
        command = group.command(name, epilog=epilog, cls=cls)
        return command(_options(hidden=True)(click.pass_obj(function)))

    return decorate


@_command(cockpit, "replay")
@click.argument("path", type=_READABLE)
@click.option("--speed", metavar="N|max", callback=_speed, help="Default: 1; max with --headless.")
@click.option("--headless", is_flag=True, help="No screen: run to the end, print the result.")
def replay(settings: Settings, path: Path, speed: float | None, headless: bool) -> None:
    """Show a recording, a file or a folder, as if it were live."""
    from cockpit.commands import market

    if headless:
        market.replay_headless(settings, path, speed or None)
    else:
        market.replay(settings, path, 1.0 if speed is None else speed or None)


@_command(cockpit, "demo", epilog=_EPILOG)
@click.option("--scenario", type=click.Choice(list(SCENARIOS)), metavar="NAME", default="default",
              show_default=True, help="What happens; the names are below.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Chance.")
@click.option("--speed", metavar="N|max", callback=_speed, help="Market over wall time at most.")
@click.option("--rate", metavar="R", callback=_rate, help=_RATE_HELP)
@click.option("--market-only", is_flag=True, help="Only the exchange; print how to connect to it.")
def demo(settings: Settings, scenario: str, seed: int, speed: float | None, rate: float | None,
         market_only: bool) -> None:  # fmt: skip
    """Show a simulated market: real sockets, invented prices."""
    from cockpit.commands import market

    activity = 1.0 if rate is None else rate
    if market_only:
        market.market_only(settings, scenario, seed, activity)
    else:
        market.demo(settings, scenario, seed, 1.0 if speed is None else speed or None, activity)


@_command(cockpit, "record")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Then stop.")
def record(settings: Settings, out: Path | None, seconds: float | None) -> None:
    """Write the raw frames of all feeds to files, until Ctrl-C."""
    from cockpit.commands import market

    market.record(settings, out, seconds)


@_command(cockpit, "snapshot")
@click.option("--replay", "path", type=_READABLE, help="Of a recording's end, not the live market.")
@click.option("--demo", "simulated", is_flag=True, help="Of a simulated market.")
@click.option("--seed", type=click.IntRange(min=0), default=1, help="Of the simulated market.")
@click.option("--rate", metavar="R", callback=_rate, help=_RATE_HELP)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=60.0,
              show_default=True, help="How long to watch a market that runs.")  # fmt: skip
def snapshot(settings: Settings, path: Path | None, simulated: bool, seed: int,
             rate: float | None, seconds: float) -> None:  # fmt: skip
    """Print prices, bias and feeds once, for every symbol and mode."""
    from cockpit.commands import market

    if path is not None and simulated:
        raise click.UsageError("--replay and --demo: choose one")
    if rate is not None and not simulated:
        raise click.UsageError("--rate is of the simulated market: add --demo")
    if simulated:
        market.snapshot_of_demo(settings, seed, seconds, 1.0 if rate is None else rate)
    else:
        market.snapshot(settings, path, seconds)


@_command(cockpit, "alerts")
@click.option("-f", "--follow", is_flag=True, help="Go on with those to come, until Ctrl-C.")
@click.option("-n", "--last", type=click.IntRange(min=1), default=100, show_default=True,
              help="How many of those written so far.")  # fmt: skip
def alerts(settings: Settings, follow: bool, last: int) -> None:
    """List the alerts in the history, oldest first.

    With --json one object a line.
    """
    from cockpit.commands.alerts import alerts as show

    show(settings, follow, last)


_MODE = click.Choice(["scalp", "day", "swing"])


@_command(cockpit, "explain", cls=Since)
@click.argument("symbol")
@click.option("--mode", type=_MODE, help="Default: that of the config.")
@click.option("--category", metavar="ID", help="The cards of one category.")
@click.option("--card", metavar="ID", help="One card down to its raw measures.")
@click.option("--at", metavar="TIME", help="Default: the newest there is.")
@click.option("--since", metavar="TIME", is_flag=False, flag_value="",
              help="What changed since then; alone: since the decision before.")  # fmt: skip
@click.option("--replay", "path", type=_READABLE, help="Play a recording up to TIME.")
@click.option("--demo", "simulated", is_flag=True, help="Run a simulated market.")
@click.option("--seed", type=click.IntRange(min=0), default=1, help="Of the simulated market.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=60.0,
              show_default=True, help="Of the simulated market.")  # fmt: skip
def explain(settings: Settings, path: Path | None, simulated: bool, seed: int, seconds: float,
            **asked: Any) -> None:  # fmt: skip
    """Take a bias apart, down to what each card rests on.

    Without --replay or --demo: that of the cockpit that runs, or ran last. TIME is
    2026-11-23T14:32, 14:32 of today, or -10m (after --since: before the decision explained).
    """
    if (path is not None) + simulated + (settings.db is not None) > 1:
        raise click.UsageError("--db, --replay and --demo: choose one")
    from cockpit.commands import explain as work

    question = work.Asked(**asked)
    if path is not None:
        work.explain_replay(settings, question, path)
    elif simulated:
        work.explain_demo(settings, question, seed, seconds)
    else:
        work.explain_stored(settings, question)


@_command(cockpit, "export")
@click.argument("what", type=click.Choice(["composites", "categories", "cards"]))
@click.option("--from", "start", metavar="TIME", help="Default: all there is.")
@click.option("--to", "end", metavar="TIME", help="Up to, without; default: the end.")
@click.option("--symbol", "chosen", multiple=True, help="Only this one; may be repeated.")
@click.option("--mode", "modes", multiple=True, type=_MODE, help="Likewise.")
@click.option("--out", metavar="FILE|-", default="-", help="Default: standard output.")
def export(settings: Settings, what: str, start: str | None, end: str | None,
           chosen: tuple[str, ...], modes: tuple[str, ...], out: str) -> None:  # fmt: skip
    """Write the history as CSV, with a header.

    TIME is 2026-11-23T14:32, 14:32 of today, or -10m (before the newest there is).
    """
    from cockpit.commands.export import export as work

    work(settings, what, start, end, chosen, modes, out)


@_command(cockpit, "decode")
@click.argument("feed")
@click.argument("file", default="-", type=click.Path(exists=True, allow_dash=True))
def decode(settings: Settings, feed: str, file: str) -> None:
    """Print recorded frames as events, one JSON object a line.

    FILE is a recording, a folder of them, or - for standard input; plain, gzip or zstd.
    """
    from cockpit.commands import tools

    tools.decode(settings, feed, file)


@_command(cockpit, "cards")
def cards(settings: Settings) -> None:
    """List every DataCard: what it measures and from what."""
    from cockpit.commands import tools

    tools.cards(settings)


@_command(cockpit, "screenshots")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="screenshots",
              show_default=True, help="Folder.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Chance.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=1800.0,
              show_default=True, help="Of the market's time before them.")  # fmt: skip
def screenshots(settings: Settings, out: Path, seed: int, seconds: float) -> None:
    """Write pictures of every screen of a demo, as SVG."""
    from cockpit.commands.screenshots import screenshots as make

    make(settings, out, seed, seconds)


@_command(cockpit, "doctor")
def doctor(settings: Settings) -> None:
    """Check terminal, folders, clock and feeds; say the mend."""
    from cockpit.commands import tools

    tools.doctor(settings)


@cockpit.group("config", no_args_is_help=False)
@_options(hidden=True)
def config() -> None:
    """Check, write or show the settings."""


@_command(config, "check")
@click.argument("file", required=False)
def config_check(settings: Settings, file: str | None) -> None:
    """Read your config (or FILE) and say whether it is fine."""
    from cockpit.commands import settings as work

    work.check(settings, file)


@_command(config, "init")
def config_init(settings: Settings) -> None:
    """Write the default config, with its comments, to your path.

    An existing file is never overwritten.
    """
    from cockpit.commands import settings as work

    work.init(settings)


@_command(config, "show")
def config_show(settings: Settings) -> None:
    """Print every setting in force and where it came from."""
    from cockpit.commands import settings as work

    work.show(settings)


@_command(config, "keymap")
def config_keymap(settings: Settings) -> None:
    """List every action of the cockpit with its keys."""
    from cockpit.commands import settings as work

    work.keymap(settings)


def main() -> None:
    """The console script: 0 fine, 1 failed, 2 usage or config error."""
    # A second BLAS thread costs more than it brings for arrays of this size.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error is one sentence on stderr."""
    settings = Settings()
    try:
        result = cockpit.main(list(arguments), prog_name=APP, standalone_mode=False, obj=settings)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else APP
        return _fail(f"{error.format_message().rstrip('.')}; see {path} --help", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return 1
    except Failure as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        _discard_output()
        return 1
    except Exception as error:
        return _explain(error, settings)


def _explain(error: Exception, settings: Settings) -> int:
    from engine.schema import ConfigError
    from engine.store.errors import StoreError

    if isinstance(error, ConfigError):
        return _fail(str(error), 2)
    if isinstance(error, StoreError):
        return _fail(str(error), 1)
    if isinstance(error, OSError) and error.filename:
        return _fail(f"{error.filename}: {error.strerror}; check the path and its permissions", 1)
    return _crash(error, settings)


def _crash(error: Exception, settings: Settings) -> int:
    """Two lines for the user, the traceback without local variables for the log."""
    import traceback

    from cockpit.settings import log_path

    path = log_path(settings.log)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
        where = f"the details are in {path}"
    except OSError:
        where = f"and the log {path} cannot be written; name another with --log"
    return _fail(f"stopped by an unexpected {type(error).__name__}: {error}\n{where}", 1)


def _fail(sentence: str, code: int) -> int:
    lines = (harmless(line) for line in sentence.split("\n"))
    click.echo(f"{APP}: " + "\n".join(lines), err=True)
    return code


def _discard_output() -> None:
    """Nobody reads any more: keep the interpreter's last flush from complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
