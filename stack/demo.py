"""`python -m stack demo`: mixed emails through a running stack, with an outage of the provider on the way."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stack.demo_table import Followed, table
from stack.home import Home, NotRunning
from stack.settings import read_given

OUTAGE_SECONDS = 4.0

_LANES = {"critical": 10, "transactional": 40, "standard": 30, "bulk": 20}
"""In percent of all emails."""

REFUSED_ONCE = "fault+error.1@example.com"

_FAULTS = {
    "ann@example.com": 86,
    REFUSED_ONCE: 5,
    "fault+webhook-dup.3@example.com": 3,
    "fault+504-then-accept.3@example.com": 2,
    "fault+webhook-rejected@example.com": 2,
    "fault+reject@example.com": 2,
}
"""Recipients, in percent of all emails: what the provider does to each. simulator/README.md explains them."""

SLOW_LANES = ("standard", "bulk")
"""Their second retry comes after minutes: long enough for the outage, too long for one more failure."""

_CONNECTIONS = 8
_TIMEOUT = 15.0
_ENDED = ("sent", "failed")


class DemoImpossible(Exception):
    """The demo can't begin; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The stack to send to. api_key: None if its API asks for none."""

    api_url: str
    control_url: str
    api_key: str | None

    def session(self) -> requests.Session:
        session = _session()
        if self.api_key is not None:
            session.headers["Authorization"] = f"Bearer {self.api_key}"
        return session


def demo(*, folder: Path, count: int, within: float, console: Console) -> int:
    """Send `count` emails and follow them for up to `within` seconds. 0 if every one came to an end."""
    try:
        target = _find(folder)
        followed = _send_around_an_outage(target, mixed_emails(count), console)
    except (NotRunning, DemoImpossible, requests.RequestException) as error:
        console.print(f"demo: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    _follow(target, followed, within=within, console=console)
    console.print(table(followed))
    missing = sum(email.ended_after is None for email in followed)
    if missing:
        console.print(f"{missing} emails did not come to an end within {within:g} s.", style="red")
        return 1
    return 0


def _find(folder: Path) -> Target:
    running = Home(folder).running_stack()
    if running.provider_control_url is None:
        raise DemoImpossible("the provider was given by PROVIDER_URL: the demo needs the simulator")
    keys = read_given(os.environ).api_keys
    return Target(
        api_url=running.api_url,
        control_url=running.provider_control_url,
        api_key=keys[0] if keys else None,
    )


def mixed_emails(count: int) -> list[dict[str, str]]:
    """Bodies for POST /send, over all lanes and faults; for one count always the same."""
    draw = random.Random(count)  # the same mixture every time
    lanes = draw.choices(list(_LANES), weights=list(_LANES.values()), k=count)
    recipients = draw.choices(list(_FAULTS), weights=list(_FAULTS.values()), k=count)
    pairs = zip(lanes, recipients, strict=True)
    return [_email(number, lane, recipient) for number, (lane, recipient) in enumerate(pairs, start=1)]


def _email(number: int, lane: str, recipient: str) -> dict[str, str]:
    if lane in SLOW_LANES and recipient == REFUSED_ONCE:
        recipient = "ann@example.com"
    return {"sender": "shop@example.com", "recipient": recipient, "message": f"Email {number}", "lane": lane}


def _send_around_an_outage(
    target: Target, emails: Sequence[dict[str, str]], console: Console
) -> list[Followed]:
    """The first third before the outage, the second during it, the last as soon as it is over."""
    third = len(emails) // 3
    followed: list[Followed] = []
    with _progress(console) as progress:
        task = progress.add_task("sending", total=len(emails))

        def send(share: Sequence[dict[str, str]]) -> None:
            for email in _send(target, share):
                followed.append(email)
                progress.advance(task)

        send(emails[:third])
        progress.update(task, description="sending; the provider is down")
        _take_provider_down(target)
        send(emails[third : 2 * third])
        _await_provider(target)
        progress.update(task, description="sending; the provider is up again")
        send(emails[2 * third :])
        progress.update(task, description="sent")
    if not console.is_terminal:
        console.print(f"{len(followed)} emails accepted; the provider was down for {OUTAGE_SECONDS:g} s.")
    return followed


def _take_provider_down(target: Target) -> None:
    fault = {"down": {"mode": "refuse", "seconds": OUTAGE_SECONDS}}
    with _session() as session:
        session.post(f"{target.control_url}/_faults", json=fault, timeout=_TIMEOUT).raise_for_status()


def _await_provider(target: Target) -> None:
    with _session() as session:
        while session.get(f"{target.control_url}/_faults", timeout=_TIMEOUT).json()["down"] is not None:
            time.sleep(0.1)


def _send(target: Target, emails: Sequence[dict[str, str]]) -> Iterator[Followed]:
    with target.session() as session, ThreadPoolExecutor(_CONNECTIONS) as threads:

        def send(email: dict[str, str]) -> Followed:
            response = session.post(f"{target.api_url}/send", json=email, timeout=_TIMEOUT)
            if response.status_code == requests.codes.unauthorized:
                raise DemoImpossible("the API wants a key: set API_KEYS as for `make run`")
            response.raise_for_status()
            return Followed(
                request_id=response.json()["request_id"], lane=email["lane"], accepted_at=time.monotonic()
            )

        yield from threads.map(send, emails)


def _follow(target: Target, followed: Sequence[Followed], *, within: float, console: Console) -> None:
    deadline = time.monotonic() + within
    waiting = list(followed)
    with target.session() as session, _progress(console) as progress:
        task = progress.add_task("coming to their ends", total=len(waiting))
        while waiting and time.monotonic() < deadline:
            for email in list(waiting):
                answer = _status(session, target, email)
                email.detail = answer["detail"]
                if answer["status"] in _ENDED:
                    email.ended_after = time.monotonic() - email.accepted_at
                    waiting.remove(email)
                    progress.advance(task)
            time.sleep(0.3)


def _status(session: requests.Session, target: Target, email: Followed) -> dict[str, Any]:
    response = session.get(f"{target.api_url}/status/{email.request_id}", timeout=_TIMEOUT)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy stands between the parts of one machine
    return session


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
