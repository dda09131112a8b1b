"""Callers that go on sending whatever happens to the other end."""

from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import requests

from stack.ports import accepts
from tests.harness.api import Body
from tests.harness.deadline import wait_until
from tests.harness.system import System


class Load:
    """Sends these from so many connections, each again and again until it is accepted. It begins at once.

    accepted: the request_ids of the answers of 202, those that the callers may rely on. other: how often
    there was another answer, by its status, or none. within: how long waiting for it may take, in seconds.
    """

    def __init__(
        self, system: System, bodies: Iterable[Body], *, connections: int = 16, within: float = 120
    ) -> None:
        self.accepted: list[str] = []
        self.other: Counter[str] = Counter()
        self._unsent = deque(bodies)
        self._emails = len(self._unsent)
        self._within = within
        self._url = f"{system.api.url}/send"
        self._port = system.wiring.api_port
        self._threads = ThreadPoolExecutor(connections)
        self._sending = [self._threads.submit(self._send) for _ in range(connections)]

    def wait_for(self, accepted: int) -> None:
        wait_until(
            lambda: len(self.accepted) >= accepted, within=self._within, what=f"{accepted} are accepted"
        )

    def is_over(self) -> bool:
        return len(self.accepted) == self._emails

    def finish(self) -> None:
        self.wait_for(self._emails)
        self._threads.shutdown()
        for sending in self._sending:
            sending.result()

    def _send(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while self._unsent:
                try:
                    body = self._unsent.popleft()
                except IndexError:  # another connection took the last one
                    return
                while not self._is_accepted(session, body):
                    wait_until(lambda: accepts(self._port), within=60, what="the API listens")

    def _is_accepted(self, session: requests.Session, body: Body) -> bool:
        try:
            answer = session.post(self._url, json=body, timeout=30)
        except requests.RequestException:
            self.other["none"] += 1
            return False
        if answer.status_code != HTTPStatus.ACCEPTED:
            self.other[str(answer.status_code)] += 1
            return False
        self.accepted.append(answer.json()["request_id"])
        return True
