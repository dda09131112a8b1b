"""The body of ``POST /send``, which is also the body of a message to ``email.ingest``."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError

from delivery.contract.faults import deny
from delivery.contract.fields import MAX_SUBJECT, Address, Choice, Instant, JsonSchema, Text, WholeNumber
from delivery.contract.json_bodies import parse_object
from delivery.contract.loading import Loader
from delivery.contract.times import MAX_TTL_SECONDS, expiry, send_time
from delivery.domain.emails import Content, EmailRequest
from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import fingerprint
from delivery.domain.lanes import DEFAULT_PRIORITY, PRIORITIES, Lane, OnUnknown


class SendSchema(Schema):
    """The fields in the order in which their faults are reported."""

    class Meta:
        unknown = RAISE
        between_fields: ClassVar[JsonSchema] = {
            "dependentSchemas": {"ttl": {"properties": {"expires_at": False}}}
        }

    sender = Address(required=True)
    recipient = Address(required=True)
    message = Text(required=True)
    subject = Text(one_line=True, most=MAX_SUBJECT)
    text = Text()
    lane = Choice(tuple(lane.value for lane in Lane))
    priority = WholeNumber(least=PRIORITIES[0], most=PRIORITIES[-1])
    send_at = Instant()
    expires_at = Instant()
    ttl = WholeNumber(least=1, most=MAX_TTL_SECONDS)
    on_unknown = Choice(tuple(choice.value for choice in OnUnknown))
    unknown_deadline = WholeNumber(least=1, most=MAX_TTL_SECONDS)


class SendContract:
    """Parses send requests.

    extra_fields: what the routed provider can carry beyond the basic fields; others are denied by name,
    never dropped.
    """

    def __init__(self, *, extra_fields: frozenset[str]) -> None:
        self._schema = SendSchema()
        self._loader = Loader(self._schema)
        self._denied = frozenset({"subject", "text"}) - extra_fields
        self.body = SendSchema(exclude=self._denied)

    def fingerprint(self, raw: bytes, *, lane: Lane | None = None) -> str:
        """What two requests with one idempotency key must have in common, whichever way they come.

        lane: where the way in determines it. The body is one that parse() takes. Raises InvalidRequest.
        """
        body = parse_object(raw)
        return fingerprint({**body, "lane": _lane(body.get("lane"), determined=lane).value})

    def parse(
        self, raw: bytes, *, now: datetime, lane: Lane | None = None, says_why: bool = True
    ) -> EmailRequest:
        """Parse and validate. Raises InvalidRequest whose reason names the field.

        lane: where the way in determines it (the routing key of AMQP); a body that says otherwise is denied.
        says_why: else a wrong field costs little time, and the reason is no reason.
        """
        body = parse_object(raw)
        for field in sorted(self._denied & body.keys()):
            raise InvalidRequest(f"{field} field is not supported by the provider")
        values = self._load(body) if says_why else self._load_right(body)
        send_at = send_time(values.get("send_at"), field="send_at", now=now)
        return EmailRequest(
            content=Content(
                sender=values["sender"],
                recipient=values["recipient"],
                message=values["message"],
                subject=values.get("subject"),
                text=values.get("text"),
            ),
            lane=_lane(values.get("lane"), determined=lane),
            priority=values.get("priority", DEFAULT_PRIORITY),
            send_at=send_at,
            expires_at=expiry(values.get("expires_at"), ttl=values.get("ttl"), send_at=send_at, now=now),
            on_unknown=OnUnknown(values["on_unknown"]) if "on_unknown" in values else None,
            unknown_deadline=_seconds(values.get("unknown_deadline")),
        )

    def _load(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._loader.load(body)
        except ValidationError as error:
            deny(error, known=self._schema.fields)

    def _load_right(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._loader.load_right(body)
        except ValidationError:
            raise InvalidRequest("a field is wrong") from None


def _lane(given: str | None, *, determined: Lane | None) -> Lane:
    if determined is None:
        return Lane(given) if given else Lane.TRANSACTIONAL
    if given is not None and given != determined.value:
        raise InvalidRequest(f"lane is {given} in the body but {determined.value} in the routing key")
    return determined


def _seconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)
