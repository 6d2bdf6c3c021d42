"""The time zone that instants are shown in."""

import logging
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

logger = logging.getLogger(__name__)


def zone(name: str) -> tzinfo | None:
    """The configured time zone; None is the machine's own, as is a name nobody knows."""
    if name == "local":
        return None
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        logger.warning("time zone %r is not known here; using the machine's own", name)
        return None
