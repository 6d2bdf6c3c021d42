"""Watch: the rules of the config over every step's snapshot; keeps the latest alerts."""

from collections.abc import Sequence

from engine.alerts.rules import Memory, judge
from engine.config import AlertRule
from engine.snapshot import Alert, Snapshot

KEPT = 200


class Watch:
    """Evaluates rules step by step; `alerts` holds the last 200, latest first.

    It looks at nothing but the snapshots, so the same steps make the same alerts.
    """

    def __init__(self, rules: Sequence[AlertRule], kept: int = KEPT) -> None:
        self.rules = tuple(rules)
        self.alerts: tuple[Alert, ...] = ()
        self._kept = kept
        self._count = 0
        self._memories: list[Memory] = [{} for _ in self.rules]

    def step(self, snapshot: Snapshot) -> tuple[Alert, ...]:
        """Take in the picture of one step; returns the alerts it made, in the rules' order."""
        made: list[Alert] = []
        for n, rule in enumerate(self.rules):
            self._memories[n], found = judge(rule, self._memories[n], snapshot)
            for finding in found:
                self._count += 1
                made.append(
                    Alert(number=self._count, ts=snapshot.step_ts, rule=rule.rule,
                          severity=finding.severity, symbol=finding.symbol, mode=finding.mode,
                          feed=finding.feed, text=finding.text)
                )  # fmt: skip
        if made:
            self.alerts = (*reversed(made), *self.alerts)[: self._kept]
        return tuple(made)
