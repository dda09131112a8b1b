"""What ``/livez`` and ``/readyz`` tell. Of the provider the API and the consumers tell the same."""

from marshmallow import Schema, fields, validate

from delivery.domain.breaker import Breaker, Phase


class AliveSchema(Schema):
    status = fields.String(required=True, validate=validate.Equal("alive"))


class ProviderHealthSchema(Schema):
    breaker = fields.String(required=True, validate=validate.OneOf([phase.value for phase in Phase]))
    since = fields.AwareDateTime(metadata={"description": "when it opened"})
    reason = fields.String(metadata={"description": "why it opened"})


class ReadySchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(("ready", "degraded", "down")))
    store = fields.String(required=True, validate=validate.OneOf(("reachable", "away")))
    broker = fields.String(required=True, validate=validate.OneOf(("connected", "away")))
    provider = fields.Nested(
        ProviderHealthSchema, metadata={"description": "there while the store, which knows, is reachable"}
    )


def provider_health(breaker: Breaker) -> dict[str, str]:
    """Its breaker: closed, open or half_open; unless it is closed, also since when and why."""
    told = {"breaker": breaker.phase.value}
    if not breaker.is_closed and breaker.since is not None:
        told |= {"since": breaker.since.isoformat(timespec="seconds"), "reason": breaker.reason or ""}
    return told
