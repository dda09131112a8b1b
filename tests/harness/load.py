"""Callers that go on sending whatever happens to the other end."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import requests

from stack.ports import accepts
from tests.harness.api import email
from tests.harness.deadline import wait_until
from tests.harness.system import System


class Load:
    """Sends from so many connections until so many emails were accepted. It begins at once.

    accepted: the request_ids of the answers of 202, those that the callers may rely on. other: how often
    there was another answer, by its status, or none.
    """

    def __init__(self, system: System, *, emails: int, connections: int = 16) -> None:
        self.accepted: list[str] = []
        self.other: Counter[str] = Counter()
        self._emails = emails
        self._url = f"{system.api.url}/send"
        self._port = system.wiring.api_port
        self._threads = ThreadPoolExecutor(connections)
        self._sending = [self._threads.submit(self._send) for _ in range(connections)]

    def wait_for(self, accepted: int) -> None:
        wait_until(lambda: len(self.accepted) >= accepted, within=120, what=f"{accepted} are accepted")

    def finish(self) -> None:
        self.wait_for(self._emails)
        self._threads.shutdown()
        for sending in self._sending:
            sending.result()

    def _send(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while len(self.accepted) < self._emails:
                try:
                    answer = session.post(self._url, json=email(), timeout=30)
                except requests.RequestException:
                    self.other["none"] += 1
                    wait_until(lambda: accepts(self._port), within=60, what="the API listens")
                    continue
                if answer.status_code == HTTPStatus.ACCEPTED:
                    self.accepted.append(answer.json()["request_id"])
                else:
                    self.other[str(answer.status_code)] += 1
