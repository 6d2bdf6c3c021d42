"""What a feed's config asks of it, checked against what the feed has; the same for all venues."""

from collections.abc import Iterable, Mapping

from engine.config import ConfigError, FeedConfig


def wanted_streams(feed: str, config: FeedConfig, allowed: Iterable[str]) -> tuple[str, ...]:
    """The streams to subscribe, in the feed's own order; all when the config names none.

    Raises ConfigError for one the feed does not have.
    """
    known = tuple(allowed)
    _check(f"feeds.{feed}.streams: no stream", config.streams, known)
    return tuple(name for name in known if name in (config.streams or known))


def wanted_polls(feed: str, config: FeedConfig, allowed: Iterable[str]) -> Mapping[str, float]:
    """Seconds of each poll; raises ConfigError for one the feed does not have."""
    _check(f"feeds.{feed}.every: no poll", config.every, tuple(allowed))
    return config.every


def wanted_urls(feed: str, config: FeedConfig, needed: Iterable[str]) -> dict[str, str]:
    """The URLs without a slash at their ends; raises ConfigError for one that is missing."""
    for key in needed:
        if key not in config.urls:
            raise ConfigError(f"feeds.{feed}.urls.{key}: missing; add it")
    return {key: url.rstrip("/") for key, url in config.urls.items()}


def _check(what: str, names: Iterable[str], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{what} {name!r}; allowed: {', '.join(known)}")
