"""The call to the provider with requests, on a connection that is kept."""

import threading
from typing import Any

import requests

from bench.peers.emails import submission
from bench.peers.settings import CALL_SECONDS, CONNECT_SECONDS

REFUSALS = (400, 413, 422)
"""Statuses by which the provider says no to this email, and will again."""


class Refused(Exception):
    """The provider will never take this email."""


class Provider:
    """A session for each thread, since requests promises nothing of one that is shared."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/emails"
        self._local = threading.local()

    def submit(self, email: dict[str, Any]) -> None:
        """Raises Refused, or a requests.RequestException for what may be tried again."""
        response = self._session().post(
            self._url, json=submission(email), timeout=(CONNECT_SECONDS, CALL_SECONDS)
        )
        if response.status_code in REFUSALS:
            raise Refused(f"HTTP {response.status_code}")
        response.raise_for_status()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # looking for proxies and .netrc at every call costs a third of it
        return session
