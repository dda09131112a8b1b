"""Every time of a deployment, ours and the provider's, made shorter by one factor.

The proportions stay those of the defaults in delivery/config.py, and with them what may overtake what: a late
acceptance comes before anybody believes that it won't, a slow answer before its deadline. How long emails may
wait for their turn (`max_wait`) stays as it is: the machine gets no faster by the factor.
"""

import json
from dataclasses import dataclass

MINUTE = 60.0

LATE_ACCEPT = 120.0
"""How long after its 504 the provider may still accept."""

SLOW = 12.0

RESEND_DEADLINE = 30.0
HOLD_DEADLINE = 45 * MINUTE

_RETRY = {
    "critical": (1, 5, 15, 30),
    "transactional": (5, 30, 60, 300, 900),
    "standard": (30, 300, 900),
    "bulk": (60, 900, 3600),
}
_FASTEST_LOOP = 0.2
"""Seconds; loops that turn faster only burn what two cores have to give."""


@dataclass(frozen=True, slots=True)
class Times:
    """factor: a real minute takes 60 / factor seconds. offsets: of the status checks, in real minutes.
    report_overdue: in real minutes."""

    factor: float
    offsets: tuple[float, ...] = (1, 5, 10, 15, 30)
    report_overdue: float = 30

    def seconds(self, real: float) -> float:
        return round(real / self.factor, 3)

    def whole_seconds(self, real: float) -> int:
        """Where only whole seconds can be said: rounded, at least one."""
        return max(1, round(real / self.factor))

    def config(self) -> str:
        """The content of postroom.toml."""
        offsets = ", ".join(f'"{self._duration(offset * MINUTE)}"' for offset in self.offsets)
        lanes = "".join(self._lane(lane) for lane in _RETRY)
        return f"""
[provider]
connect_timeout = "{self._duration(2)}"
total_timeout = "{self._duration(15)}"
[claims]
lease = "{self._duration(45)}"
margin = "{self._duration(2)}"
[breaker]
window = "{self._duration(30)}"
first_pause = "{self._duration(1)}"
longest_pause = "{self._duration(30)}"
[loops]
relay_interval = "{self._loop(1)}"
relay_grace = "{self._loop(5)}"
reconcile_interval = "{self._loop(5)}"
check_interval = "{self._loop(1)}"
lost_margin = "{self._duration(60)}"
[checks]
offsets = [{offsets}]
late_accept = "{self._duration(150)}"
report_overdue = "{self._duration(self.report_overdue * MINUTE)}"
calls_per_minute = {self._budget()}
{lanes}"""

    def simulator_options(self) -> list[str]:
        """The provider's own times. Webhooks are tried again as long as ever: what is killed here takes as
        long to come back as anywhere."""
        faults = {
            "latency": self.seconds(0.5),
            "webhook_delay": self.seconds(2),
            "webhook_shuffle": self.seconds(5),
            "status_budget": self._budget(),
            "status_ban": self.seconds(MINUTE),
        }
        return ["--faults", json.dumps(faults)]

    def _lane(self, lane: str) -> str:
        deadline = RESEND_DEADLINE if lane == "critical" else HOLD_DEADLINE
        retry = ", ".join(f'"{self.whole_seconds(step)}s"' for step in _RETRY[lane])
        return f"""[lanes.{lane}]
retry = [{retry}]
unknown_deadline = "{self._duration(deadline)}"
"""

    def _budget(self) -> int:
        return round(60 * self.factor)

    def _loop(self, real: float) -> str:
        return self._duration(max(real, _FASTEST_LOOP * self.factor))

    def _duration(self, real: float) -> str:
        return f"{round(real * 1000 / self.factor)}ms"
