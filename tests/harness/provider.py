"""A client of the simulator's control routes: set faults, read the log, count duplicates and losses.

simulator/README.md has the settings, the tags for single emails and the form of the log.
"""

from collections.abc import Iterable
from typing import Any

import requests

_TIMEOUT = 10.0
_PAGE = 10_000


class Provider:
    """`url` is where postroom submits, `control_url` where tests steer and look."""

    def __init__(self, url: str, control_url: str) -> None:
        self.url = url
        self.control_url = control_url
        self._session = requests.Session()
        self._session.trust_env = False

    def set_faults(self, **settings: object) -> None:
        """Replace the settings that are named: `set_faults(error_rate=0.2, down={"mode": "503"})`."""
        self._call("POST", "/_faults", json=settings)

    def go_down(self, *, mode: str = "refuse", seconds: float | None = None) -> None:
        """Refuse connections ("refuse") or answer 503 ("503"), for some seconds or until come_up()."""
        self.set_faults(down={"mode": mode, "seconds": seconds})

    def come_up(self) -> None:
        self.set_faults(down=None)

    def heal(self) -> None:
        """Back to the settings of the start, and up."""
        self._call("DELETE", "/_faults")

    def summary(self) -> dict[str, Any]:
        """Counts: received, accepted, accepted_ids, duplicates, answers, in_flight, pending_accepts, …"""
        answer: dict[str, Any] = self._call("GET", "/_log/summary").json()
        return answer

    def count(self, name: str) -> int:
        """One of the summary's numbers, cheaply: "received", "accepted", "in_flight" …"""
        answer: int = self._call("GET", "/_log/summary?ids=false").json()[name]
        return answer

    def received(self) -> int:
        """How many submissions have arrived."""
        return self.count("received")

    def submissions(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Every submission in order of arrival, from index `since`; times are epoch seconds."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"/_log?since={since + len(found)}&limit={_PAGE}").json()
            found += page["submissions"]
            if not page["submissions"]:
                return found

    def submissions_of(self, request_id: str) -> list[dict[str, Any]]:
        return [submission for submission in self.submissions() if submission["request_id"] == request_id]

    def status_calls(self) -> list[dict[str, Any]]:
        """Every call of the status endpoint in order: request_id, at (epoch seconds), answer (its status)."""
        answer = self._call("GET", f"/_log/status?limit={_PAGE}").json()
        calls: list[dict[str, Any]] = answer["calls"]
        return calls

    def is_idle(self) -> bool:
        """Whether nothing is to come any more: no call, no late acceptance, no webhook."""
        summary = self._call("GET", "/_log/summary?ids=false").json()
        return not (summary["in_flight"] or summary["pending_accepts"] or summary["webhooks"]["pending"])

    def forget(self) -> None:
        """Empty the log."""
        self._call("DELETE", "/_log")

    def assert_accepted_once(self, request_ids: Iterable[str]) -> None:
        """Each of these was accepted exactly once; nothing is said of others."""
        expected = set(request_ids)
        summary = self.summary()
        doubled = expected & set(summary["duplicates"])
        lost = expected - set(summary["accepted_ids"])
        assert not doubled, f"{len(doubled)} accepted more than once, such as {sorted(doubled)[:5]}"
        assert not lost, f"{len(lost)} of {len(expected)} never accepted, such as {sorted(lost)[:5]}"

    def close(self) -> None:
        self._session.close()

    def _call(self, method: str, path: str, json: object = None) -> requests.Response:
        response = self._session.request(method, f"{self.control_url}{path}", json=json, timeout=_TIMEOUT)
        response.raise_for_status()
        return response
