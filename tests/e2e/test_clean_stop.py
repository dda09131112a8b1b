"""SIGTERM under load: what is in hand is finished, the rest is left plainly undone, the exit status is 0."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

from tests.harness.api import Api, email
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

EMAILS = 600
LANES = ("critical", "transactional", "standard", "bulk")
STOP_SECONDS = 30.0

# So few slots that 600 emails last for several restarts.
SLOTS = 8
CONFIG = f"""
[provider]
max_in_flight = {SLOTS}
[slots]
reserved = 2
"""


def test_consumers_stopped_in_turn_finish_what_they_began_and_send_nothing_twice(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    system = start_system(config=CONFIG, consumers=2)
    system.provider.set_faults(latency=0.3)
    request_ids = system.api.send_many([email(lane=LANES[n % len(LANES)]) for n in range(EMAILS)])
    stops = 0
    while system.provider.received() < EMAILS * 2 // 3:
        consumers = system.consumers[stops % 2]
        wait_until(lambda: in_flight(system) > SLOTS, within=60, what="calls of both are out")
        assert consumers.stop(STOP_SECONDS) == 0
        assert stops_in_order(consumers.log.read_text())
        stops += 1
        consumers.start()
        consumers.wait_ready(60)
    # Both at once: nobody is left to take what they give back.
    wait_until(lambda: in_flight(system) > SLOTS, within=60, what="calls of both are out")
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda part: part.stop(STOP_SECONDS), system.consumers)) == [0, 0]
    assert database["emails"].count_documents({"state": "submitting"}) == 0
    assert in_flight(system) == 0
    system.start()

    system.api.wait_for_all(request_ids, "sent", within=120)
    print(f"{stops + 2} stops while {EMAILS} emails flowed")
    assert stops >= 2
    system.provider.assert_accepted_once(request_ids)
    assert system.provider.received() == EMAILS
    histories = [found["history"] for found in database["emails"].find({}, {"history": 1})]
    visited = {entry["state"] for history in histories for entry in history}
    assert visited <= {"submitted", "delivered"}, "no call was given up, no outcome lost"


def in_flight(system: System) -> int:
    """How many calls the provider has not answered yet."""
    return system.provider.count("in_flight")


def stops_in_order(log: str) -> bool:
    """Whether the consumers' log ends as a drain does, and never tells of a call that was given up."""
    return log.rstrip().endswith("drained") and "abandoned" not in log


def test_the_api_answers_the_requests_that_are_under_way(start_system: Callable[..., System]) -> None:
    system = start_system(config="[provider]\nmin_in_flight = 32\n")
    waiting = 12
    body = email(recipient="fault+slow.2@example.com")

    def send_and_wait() -> requests.Response:
        return Api(system.api.url).post(body, Prefer="wait=10")

    with ThreadPoolExecutor(waiting) as callers:
        requests_under_way = [callers.submit(send_and_wait) for _ in range(waiting)]
        wait_for_value(lambda: in_flight(system), waiting, within=60, what="all are with the provider")
        assert system.api_process.stop(STOP_SECONDS) == 0
        answers = [request.result() for request in requests_under_way]

    assert Counter(answer.status_code for answer in answers) == {200: waiting}
    system.start()
    request_ids = [answer.json()["request_id"] for answer in answers]
    system.api.wait_for_all(request_ids, "sent", within=60)
    system.provider.assert_accepted_once(request_ids)


def test_the_api_loses_nothing_of_what_it_accepted(start_system: Callable[..., System]) -> None:
    system = start_system()
    senders = Senders(system.api.url, count=8)
    for _ in range(2):
        enough = len(senders.accepted) + 100
        wait_until(partial(senders.have_sent, enough), within=60, what="emails flow")
        assert system.api_process.stop(STOP_SECONDS) == 0
        system.start()
    senders.stop()

    print(f"accepted: {len(senders.accepted)}, not connected or cut off: {senders.unanswered}")
    assert senders.other == []
    system.api.wait_for_all(senders.accepted, "sent", within=120)
    system.provider.assert_accepted_once(senders.accepted)


class Senders:
    """Callers that send email after email, each on a connection of its own, until they are stopped."""

    def __init__(self, url: str, *, count: int) -> None:
        self.accepted: list[str] = []
        self.other: list[str] = []
        self.unanswered = 0
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_forever, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def have_sent(self, count: int) -> bool:
        return len(self.accepted) >= count

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send_forever(self) -> None:
        while not self._stop.is_set():
            api = Api(self._url)
            try:
                response = api.post(email(), Connection="close")
            except requests.RequestException:
                self.unanswered += 1
                self._stop.wait(0.05)
            else:
                self._note(response)
            finally:
                api.close()

    def _note(self, response: requests.Response) -> None:
        if response.status_code == 202:
            self.accepted.append(response.json()["request_id"])
        else:
            self.other.append(f"{response.status_code} {response.text}")
