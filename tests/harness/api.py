"""A client of postroom's HTTP API, for one caller or for many at once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

import requests

from tests.harness.deadline import wait_until

_TIMEOUT = 30.0

Body = Mapping[str, object]
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Api:
    """Not for several threads at once; send_many() and statuses() bring their own."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.session = self._new_session()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any call; the answer whatever its status. `options` as requests has them."""
        return self.session.request(method, f"{self.url}{path}", **{"timeout": _TIMEOUT, **options})

    def get(self, path: str) -> requests.Response:
        return self.request("GET", path)

    def post(self, body: object, **headers: str) -> requests.Response:
        """POST /send; the answer whatever its status. A header's `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/send", json=body, headers=named)

    def send(self, **fields: object) -> str:
        """Send an email and return its request_id; an AssertionError if it was not accepted."""
        return _accepted(self.post(email(**fields)))

    def send_many(self, bodies: Sequence[Body], *, connections: int = 16) -> list[str]:
        """Send all over so many connections; the request_ids in the order of `bodies`."""

        def send(session: requests.Session, body: Body) -> str:
            return _accepted(session.post(f"{self.url}/send", json=body, timeout=_TIMEOUT))

        return self._shared_out(bodies, send, connections)

    def status(self, request_id: str) -> dict[str, Any]:
        """The answer of GET /status/<id>; an AssertionError if it is not 200."""
        return _status(self.request("GET", f"/status/{request_id}"))

    def statuses(self, request_ids: Sequence[str], *, connections: int = 4) -> list[dict[str, Any]]:
        """The answers of GET /status for all of these, in their order."""

        def ask(session: requests.Session, request_id: str) -> dict[str, Any]:
            return _status(session.get(f"{self.url}/status/{request_id}", timeout=_TIMEOUT))

        return self._shared_out(request_ids, ask, connections)

    def wait_for_detail(self, request_id: str, detail: str, *, within: float = 30.0) -> dict[str, Any]:
        """Wait until the email is in this exact state, and return its status."""
        return self._wait(request_id, "detail", detail, within)

    def wait_for_status(self, request_id: str, status: str, *, within: float = 30.0) -> dict[str, Any]:
        """Wait until it is `sent`, `failed` or `processing`, and return its status."""
        return self._wait(request_id, "status", status, within)

    def wait_for_all(self, request_ids: Iterable[str], status: str, *, within: float) -> None:
        """Wait until all have this status. Each is asked until it has it, and then no more."""
        missing = list(request_ids)
        last: Counter[str] = Counter()

        def none_is_missing() -> bool:
            answers = [(request_id, self.status(request_id)) for request_id in missing]
            missing[:] = [request_id for request_id, answer in answers if answer["status"] != status]
            last.clear()
            last.update(answer["detail"] for _, answer in answers if answer["status"] != status)
            # Raised rather than returned: the exception's text is what a missed deadline shows.
            assert not missing, f"{len(missing)} are not {status} but {dict(last)}, such as {missing[:3]}"
            return True

        wait_until(none_is_missing, within=within, what=f"every email is {status}")

    def close(self) -> None:
        self.session.close()

    def _wait(self, request_id: str, key: str, value: str, within: float) -> dict[str, Any]:
        def reached() -> dict[str, Any]:
            answer = self.status(request_id)
            assert answer[key] == value, str(answer)
            return answer

        return wait_until(reached, within=within, what=f"{key} of {request_id} is {value}")

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers.update(self._headers)
        return session

    def _shared_out(
        self, items: Sequence[Item], call: Callable[[requests.Session, Item], Answer], connections: int
    ) -> list[Answer]:
        """Call for all items, over so many connections at once; the answers in the order of the items."""

        def call_for_share(start: int) -> list[Answer]:
            with self._new_session() as session:
                return [call(session, item) for item in items[start::connections]]

        answers: dict[int, Answer] = {}
        with ThreadPoolExecutor(connections) as threads:
            for start, share in enumerate(threads.map(call_for_share, range(connections))):
                answers.update(zip(range(start, len(items), connections), share, strict=True))
        return [answers[index] for index in range(len(items))]


def email(**fields: object) -> dict[str, object]:
    """A valid body for POST /send, with `fields` in place of its own."""
    return {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello", **fields}


def _accepted(response: requests.Response) -> str:
    assert response.status_code == HTTPStatus.ACCEPTED, f"{response.status_code}: {response.text}"
    request_id: str = response.json()["request_id"]
    return request_id


def _status(response: requests.Response) -> dict[str, Any]:
    assert response.status_code == HTTPStatus.OK, f"{response.status_code}: {response.text}"
    answer: dict[str, Any] = response.json()
    return answer
