"""``postroom dead`` and ``postroom held``: what waits for a person, and that person's decision.

MongoDB is the truth and the letter in the queue a hint: a decision is written there first, and then a pass
over the queue removes every letter that stands for nothing any more. After a kill between the two, the next
pass does it.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

from cli.letters import QUEUES, count_letters, remove_letters
from cli.output import Output, Value
from cli.parts import Parts
from cli.selecting import add_choosing, lane_of, parse_time, positive
from delivery.bootstrap import utc_now
from delivery.domain.counts import discarded
from delivery.domain.errors import BrokerUnavailable, InvalidRequest
from delivery.domain.parking import ParkedEmail, Selection
from delivery.domain.states import State
from delivery.use_cases.messages import EmailMessage
from delivery.use_cases.requeue_emails import requeue_emails

GROUPS = ("tenant", "lane", "reason", "last_error", "emails", "oldest", "newest")
EACH = ("email", "tenant", "lane", "reason", "last_error", "attempts", "accepted", "parked")

BATCH = 500
"""Emails in one write."""

Decide = Callable[[Sequence[ParkedEmail]], int]
"""Writes a decision about a batch of emails; returns for how many of them it came in time."""


def add_parser(
    rooms: "argparse._SubParsersAction[argparse.ArgumentParser]",
    state: State,
    *,
    options: argparse.ArgumentParser,
) -> None:
    parser = rooms.add_parser(state.value, help=f"emails that are {state.value}, and their letters")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    chosen = argparse.ArgumentParser(add_help=False, parents=[options])
    chosen.add_argument("email", nargs="*", help="ids (all that the options choose)")
    add_choosing(chosen, when=state.value)
    chosen.add_argument("--reason", help="of this reason, as list shows it")

    listing = verbs.add_parser("list", parents=[chosen], help="count them by reason, or show each")
    listing.set_defaults(command=partial(_list, state))
    listing.add_argument("--each", action="store_true", help="a line for each email")

    requeue = verbs.add_parser("requeue", parents=[chosen], help="send them again, with fresh attempts")
    requeue.set_defaults(command=partial(_requeue, state))
    requeue.add_argument("--rate", type=positive, metavar="N", help="so many a second at most")

    discard = verbs.add_parser("discard", parents=[chosen], help="give them up for good")
    discard.set_defaults(command=partial(_discard, state), rate=None)
    discard.add_argument("--because", required=True, metavar="TEXT", help="why; kept in their history")

    for verb in (requeue, discard):
        verb.add_argument("--all", action="store_true", help="all of them, where nothing else chooses")
        verb.add_argument("--dry-run", action="store_true", help="say which, and do nothing")

    tidy = verbs.add_parser("tidy", parents=[options], help="remove letters that stand for nothing any more")
    tidy.set_defaults(command=partial(_tidy, state))


def _list(state: State, arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    found = parts.store.parked.find(_selection(state, arguments))
    if arguments.each:
        output.table(EACH, [_line(email) for email in found])
        return
    groups = _grouped(found)
    output.table(GROUPS, groups)
    output.say(f"{sum(int(str(group['emails'])) for group in groups)} emails; {_letters(state, parts)}")


def _requeue(state: State, arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    def requeue(batch: Sequence[ParkedEmail]) -> int:
        letters = [EmailMessage(email.email_id, email.gen) for email in batch]
        requeued = requeue_emails(letters, emails=parts.store.emails, now=utc_now())
        parts.store.count(requeued.happened)
        return len(requeued.owed)

    _decide(state, arguments, parts, output, decide=requeue, done="requeued")


def _discard(state: State, arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    because = arguments.because.strip()
    if not because:
        raise InvalidRequest("--because needs a text: whoever comes later reads it")

    def discard(batch: Sequence[ParkedEmail]) -> int:
        letters, now = [(email.email_id, email.gen) for email in batch], utc_now()
        count = parts.store.parked.discard(state, letters, because=because, now=now)
        if count == len(batch):  # else nobody knows which, and the next recount does
            of_whom = Counter((email.tenant_id, email.lane) for email in batch)
            parts.store.tally.add(discarded(of_whom, state, at=now))
        return count

    _decide(state, arguments, parts, output, decide=discard, done="discarded")


def _tidy(state: State, _arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    removed = remove_letters(state, parts, output)
    output.one({"letters_removed": removed, "letters_left": count_letters(state, parts)})


def _decide(
    state: State, arguments: argparse.Namespace, parts: Parts, output: Output, *, decide: Decide, done: str
) -> None:
    selection = _selection(state, arguments)
    if not arguments.all and not _chooses(arguments):
        raise InvalidRequest("say which: by id, --tenant, --lane, --reason, --since or --until, or --all")
    found = parts.store.parked.find(selection)
    if arguments.dry_run:
        output.table(GROUPS, _grouped(found))
        output.say("Nothing was done.")
        return
    chosen = list(found)
    try:
        count = _in_batches(chosen, decide, output, rate=arguments.rate, done=done)
    finally:
        parts.store.tally.flush()
    removed: int | None = None
    try:
        if chosen:
            removed = remove_letters(state, parts, output)
    finally:
        output.one({done: count, "letters_removed": removed if chosen else 0})


def _in_batches(
    chosen: Sequence[ParkedEmail], decide: Decide, output: Output, *, rate: int | None, done: str
) -> int:
    """Raises StoreUnavailable: what was decided by then is, and the rest is still parked."""
    size = min(BATCH, rate or BATCH)
    began, count = time.monotonic(), 0
    with output.progress(done, total=len(chosen)) as reached:
        for start in range(0, len(chosen), size):
            if rate is not None:
                time.sleep(max(0.0, began + start / rate - time.monotonic()))
            batch = chosen[start : start + size]
            count += decide(batch)
            reached(start + len(batch))
    return count


def _selection(state: State, arguments: argparse.Namespace) -> Selection:
    """Until now: what is parked again meanwhile is another matter, or this would never end."""
    now = utc_now()
    return Selection(
        state=state,
        tenant_id=arguments.tenant,
        lane=lane_of(arguments),
        reason=arguments.reason,
        since=parse_time(arguments.since, now=now, option="--since"),
        until=parse_time(arguments.until, now=now, option="--until") or now,
        email_ids=tuple(arguments.email) or None,
    )


def _chooses(arguments: argparse.Namespace) -> bool:
    options = (arguments.tenant, arguments.lane, arguments.reason, arguments.since, arguments.until)
    return bool(arguments.email) or any(option is not None for option in options)


@dataclass(slots=True)
class _Group:
    emails: int
    oldest: datetime
    newest: datetime


def _grouped(found: Iterable[ParkedEmail]) -> list[dict[str, Value]]:
    """The largest groups first."""
    groups: dict[tuple[str, str, str | None, str | None], _Group] = {}
    for email in found:
        at, alike = email.parked_at, (email.tenant_id, email.lane.value, email.reason, email.last_error)
        group = groups.setdefault(alike, _Group(emails=0, oldest=at, newest=at))
        group.emails += 1
        group.oldest, group.newest = min(group.oldest, at), max(group.newest, at)
    return [
        {"tenant": tenant, "lane": lane, "reason": reason, "last_error": last_error, **asdict(group)}
        for (tenant, lane, reason, last_error), group in sorted(
            groups.items(), key=lambda item: -item[1].emails
        )
    ]


def _line(email: ParkedEmail) -> dict[str, Value]:
    return {
        "email": email.email_id,
        "tenant": email.tenant_id,
        "lane": email.lane.value,
        "reason": email.reason,
        "last_error": email.last_error,
        "attempts": email.attempts,
        "accepted": email.accepted_at,
        "parked": email.parked_at,
    }


def _letters(state: State, parts: Parts) -> str:
    try:
        return f"{count_letters(state, parts)} letters in {QUEUES[state]}"
    except BrokerUnavailable:
        return "the broker is away, so nobody knows how many letters there are"
