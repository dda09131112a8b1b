"""The configuration as values. config.py reads them from the environment and from postroom.toml.

A secret, or what may hold one (a URL), is left out of their repr, and so out of tracebacks.
"""

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from delivery.domain.breaker import BreakerPolicy
from delivery.domain.delays import DelayStep
from delivery.domain.errors import PostroomError
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.questions import CheckPolicy
from delivery.domain.rates import Rate

EXTRA_FIELDS = (
    "subject",
    "text",
    "html",
    "sender_name",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "headers",
    "attachments",
    "in_reply_to",
)
"""What a provider may take beyond sender, recipient and message."""


class InvalidConfiguration(PostroomError):
    """Something in the environment or in postroom.toml can't be used; the text lists every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """host, port: where to listen. keys: tokens that need no store; without any key, loopback only.

    rate: of the requests of each tenant that has none of its own.
    """

    host: str
    port: int
    workers: int
    threads: int
    keys: tuple[str, ...] = field(repr=False)
    max_body_bytes: int
    max_email_body_bytes: int
    rate: Rate

    @property
    def is_for_this_machine(self) -> bool:
        """Whether it listens where only this machine can reach it."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """connect_timeout and total_timeout bound one call.

    min_in_flight, max_in_flight: the limit on the calls at once of one process adapts between them.
    """

    name: str
    url: str = field(repr=False)
    connect_timeout: timedelta
    total_timeout: timedelta
    min_in_flight: int
    max_in_flight: int
    extra_fields: frozenset[str]
    reports_deliveries: bool
    webhook_secrets: tuple[str, ...] = field(repr=False)
    webhook_path_tokens: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimConfig:
    """lease: how long a claim holds unless renewed; margin: what must be left of it beyond a whole call."""

    lease: timedelta
    margin: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How often a background loop looks, and (relay) how old a debt is before it steps in.

    lost_margin: how much later a message must have come in than one that is taken for lost.
    """

    relay_interval: timedelta
    relay_grace: timedelta
    reconcile_interval: timedelta
    check_interval: timedelta
    lost_margin: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """consumers_grace: how long a stopping consumer lets the calls that are out come to their end."""

    amqp_url: str = field(repr=False)
    mongodb_uri: str = field(repr=False)
    recipient_hash_key: bytes = field(repr=False)
    api: ApiConfig
    provider: ProviderConfig
    lanes: Mapping[Lane, LanePolicy]
    checks: CheckPolicy
    breaker: BreakerPolicy
    delay_steps: tuple[DelayStep, ...]
    reserved_slots: int
    claims: ClaimConfig
    loops: LoopConfig
    consumers_health_port: int | None
    consumers_grace: timedelta
