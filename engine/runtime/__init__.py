"""Wires feeds, market, cards, decisions and history together: start, step, snapshot, stop."""

from engine.runtime.live import Engine

__all__ = ["Engine"]
