"""``postroom emails``: show one, search, cancel. Addresses and content only for who asks for them."""

import argparse

from cli.output import Output, Value
from cli.parts import Parts
from cli.selecting import add_choosing, lane_of, parse_time, positive
from delivery.bootstrap import utc_now
from delivery.contract.status import parse_request_id
from delivery.domain.emails import DEFAULT_TENANT, Content
from delivery.domain.errors import InvalidRequest, TooLate, UnknownEmail
from delivery.domain.idempotency import record_id
from delivery.domain.records import EmailRecord, Search
from delivery.domain.states import State
from delivery.use_cases.cancel_email import cancel_email

COLUMNS = ("email", "tenant", "lane", "state", "reason", "attempts", "accepted", "updated")
HISTORY = ("at", "state", "detail")

HIDDEN = "(hidden; --reveal shows it)"


def add_parser(
    rooms: "argparse._SubParsersAction[argparse.ArgumentParser]", *, options: argparse.ArgumentParser
) -> None:
    parser = rooms.add_parser("emails", help="what became of emails")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    show = verbs.add_parser("show", parents=[options], help="all that is known of an email")
    show.set_defaults(command=_show)
    show.add_argument("email", help="its id, the request_id of the API")
    show.add_argument("--reveal", action="store_true", help="with its addresses and its content")
    cancel = verbs.add_parser("cancel", parents=[options], help="see to it that emails are never sent")
    cancel.set_defaults(command=_cancel)
    cancel.add_argument("email", nargs="+", help="ids")
    search = verbs.add_parser("search", parents=[options], help="find emails, the newest first")
    search.set_defaults(command=_search)
    add_choosing(search, when="accepted")
    search.add_argument("--recipient", metavar="ADDRESS", help="to this address")
    search.add_argument("--status", choices=tuple(State), metavar="STATE", help="in this state")
    search.add_argument("--key", help=f"of this Idempotency-Key of --tenant ({DEFAULT_TENANT})")
    search.add_argument("--limit", type=positive, default=50, metavar="N", help="so many at most (50)")


def _show(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    email_id = parse_request_id(arguments.email)
    email = parts.store.records.get(email_id)
    if email is None:
        raise InvalidRequest(f"there is no email {email_id}")
    output.one({**_values(email), **_content(email.reading.content, reveal=arguments.reveal)})
    output.say("")
    output.rows_for_people(
        HISTORY,
        [{"at": each.at, "state": each.state.value, "detail": each.detail} for each in email.reading.history],
    )


def _cancel(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    """Tells of each what became of it. Raises InvalidRequest at the end if one can't be canceled."""
    rows = [_canceled(parse_request_id(given), parts) for given in arguments.email]
    parts.store.tally.flush()
    output.table(("email", "canceled", "reason"), rows)
    refused = sum(row["canceled"] == "no" for row in rows)
    if refused:
        raise InvalidRequest(f"{refused} of {len(rows)} can't be canceled")


def _canceled(email_id: str, parts: Parts) -> dict[str, Value]:
    email, now = parts.store.records.get(email_id), utc_now()
    try:
        if email is None:
            raise UnknownEmail(f"there is no email {email_id}")
        happening = cancel_email(
            email.reading.standing.tenant_id,
            email_id,
            emails=parts.store.emails,
            scheduled=parts.store.scheduled,
            now=now,
            reason="canceled by an operator",
        )
    except (TooLate, UnknownEmail) as error:
        return {"email": email_id, "canceled": "no", "reason": str(error)}
    parts.store.count([happening] if happening is not None else [])
    return {"email": email_id, "canceled": "yes", "reason": None}


def _search(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    now = utc_now()
    email_ids = _ids_of_key(arguments, parts) if arguments.key is not None else None
    wanted = Search(
        tenant_id=arguments.tenant,
        lane=lane_of(arguments),
        state=State(arguments.status) if arguments.status else None,
        recipient=arguments.recipient,
        since=parse_time(arguments.since, now=now, option="--since"),
        until=parse_time(arguments.until, now=now, option="--until"),
        email_ids=email_ids,
    )
    found = parts.store.records.search(wanted, limit=arguments.limit)
    output.table(COLUMNS, [_line(email) for email in found])
    if len(found) == arguments.limit:
        output.say(f"There may be more than these {arguments.limit}: see --limit, --since, --until.")


def _ids_of_key(arguments: argparse.Namespace, parts: Parts) -> tuple[str, ...]:
    key = record_id(arguments.tenant or DEFAULT_TENANT, arguments.key)
    record = parts.store.idempotency_keys.find([key]).get(key)
    return record.email_ids if record is not None else ()


def _values(email: EmailRecord) -> dict[str, Value]:
    standing = email.reading.standing
    return {
        "email": standing.email_id,
        "tenant": standing.tenant_id,
        "lane": standing.lane.value,
        "priority": email.priority,
        "state": standing.state.value,
        "unreported": "yes" if standing.is_unreported else None,
        "reason": standing.reason,
        "last_error": email.last_error,
        "attempts": standing.attempts,
        "calls": standing.calls,
        "generation": standing.gen,
        "owes": email.owes,
        "accepted": standing.accepted_at,
        "updated": standing.updated_at,
        "due": standing.due_at,
        "expires": standing.expires_at,
    }


def _content(content: Content, *, reveal: bool) -> dict[str, Value]:
    """Without ``reveal`` no more than how much of it there is."""
    return {
        "sender": content.sender if reveal else HIDDEN,
        "recipients": list(content.recipients) if reveal else f"{len(content.recipients)} {HIDDEN}",
        "subject": content.subject if reveal or content.subject is None else HIDDEN,
        "message": content.message if reveal else f"{content.size} bytes {HIDDEN}",
        **({"html": content.html} if reveal and content.html else {}),
        "attachments": [each.filename for each in content.attachments]
        if reveal
        else len(content.attachments) or None,
    }


def _line(email: EmailRecord) -> dict[str, Value]:
    values = _values(email)
    return {name: values[name] for name in COLUMNS}
