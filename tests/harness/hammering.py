"""Many clients that send with few keys, again and again, whatever happens to the other end."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import requests

from tests.harness.api import Api, email
from tests.harness.deadline import wait_until

CLIENTS = 64
KEYS = 20
BATCH_KEYS = 10
"""On top of these; each is of a batch."""

ITEMS = 3
"""Of each batch."""

CALLS = 18
"""Of each client that are answered."""

BATCHES = [f"hammered-batch-{number}" for number in range(BATCH_KEYS)]
HAMMERED = [*(f"hammered-{number}" for number in range(KEYS)), *BATCHES]


class Hammering:
    """What the clients heard. email_ids: by key, of all its items in order, as often as they differed."""

    def __init__(self, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.email_ids: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._url = url

    @contextmanager
    def by_all_clients(self) -> Iterator[None]:
        """They begin at once; it ends when each has had its answers."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(self._client, number) for number in range(CLIENTS)]
            yield
            for client in running:
                client.result()

    def wait_for_more(self, answers: int) -> None:
        enough = self.answers.total() + answers
        wait_until(lambda: self.answers.total() > enough, within=120, what="clients were answered")

    def accept_all(self) -> None:
        """Go on until every key is accepted."""
        for key in HAMMERED:
            wait_until(partial(self._is_accepted, key), within=60, what=f"{key} is accepted")

    def _client(self, number: int) -> None:
        """Send with random keys until there were so many answers; whoever hears nothing goes on."""
        choice = random.Random(number)
        for _ in range(CALLS):
            key = choice.choice(HAMMERED)
            wait_until(partial(self._call, key), within=120, what=f"{key} is answered")

    def _is_accepted(self, key: str) -> bool:
        self._call(key)
        return bool(self.email_ids[key])

    def _call(self, key: str) -> bool:
        """One call, on a connection of its own, so that every worker gets its share; False without answer."""
        api = Api(self._url)
        try:
            response = _send_batch(api, key) if key in BATCHES else _send(api, key)
        except requests.RequestException:
            self.answers["no answer"] += 1
            return False
        finally:
            api.close()
        replay = " replay" if "Idempotency-Replay" in response.headers else ""
        self.answers[f"{response.status_code}{replay}"] += 1
        if response.ok:
            self.email_ids[key].add(_email_ids_in(response))
        return True


def texts_of(key: str) -> list[str]:
    """Of the emails of a key, in their order."""
    return [f"{key} item {number}" for number in range(ITEMS)] if key in BATCHES else [key]


def _send(api: Api, key: str) -> requests.Response:
    return api.post(email(message=key), Idempotency_Key=key)


def _send_batch(api: Api, key: str) -> requests.Response:
    items = [{"from": "shop@example.com", "to": "ann@example.com", "text": text} for text in texts_of(key)]
    return api.request("POST", "/api/v1/emails/batch", json=items, headers={"Idempotency-Key": key})


def _email_ids_in(response: requests.Response) -> tuple[str, ...]:
    answer = response.json()
    return tuple(item["emailId"] for item in answer["data"]) if "data" in answer else (answer["request_id"],)
