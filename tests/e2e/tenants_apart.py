"""Every route that names an email by its id, so that a test can ask each for another tenant's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from api import create_app
from delivery.bootstrap import build_api
from delivery.config import load_config

IDS_OF_EMAILS = {"request_id", "email_id"}
"""What an email's id is called in paths."""

NO_EMAIL = {("webhooks.with_token", "token"), ("documentation.asset", "name")}
"""Arguments of paths that are not the id of an email. Whatever else is in a path must be one."""

BODIES: dict[str, dict[str, object]] = {
    "email_reading.reschedule": {"scheduledAt": "2020-01-01T00:00:00Z"},
}
"""What an endpoint wants as its body, if it is to get as far as looking for the email."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A request that names an email. form: its path, with ``{}`` for the id."""

    endpoint: str
    method: str
    form: str
    body: dict[str, object] = field(default_factory=dict)


def requests_that_name_an_email() -> Iterator[Asking]:
    """All that the app has, found by walking its routes; and those that take the id in the query.

    Raises LookupError for an argument of a path of which nobody has said what it is.
    """
    yield Asking(endpoint="status.by_query", method="GET", form="/status?request_id={}")
    for rule in create_app(build_api(load_config({}))).url_map.iter_rules():
        named = {(rule.endpoint, argument) for argument in rule.arguments} - NO_EMAIL
        if unknown := {argument for _, argument in named} - IDS_OF_EMAILS:
            raise LookupError(f"{rule.rule}: is {unknown} the id of an email? Say so above")
        form = re.sub(r"<(?:[^<>:]+:)?[^<>]+>", "{}", rule.rule)
        for method in sorted(rule.methods or ()) if named else ():
            yield Asking(endpoint=rule.endpoint, method=method, form=form, body=BODIES.get(rule.endpoint, {}))
