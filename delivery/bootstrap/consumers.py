"""What the consumers work with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from delivery.bootstrap.publishing import build_publisher, build_replies_publisher, topology_of
from delivery.bootstrap.store import CONSUMERS_STORE_TIMEOUT, Store, build_store
from delivery.broker.publisher import Publisher
from delivery.config_values import Config
from delivery.contract.send import SendContract
from delivery.providers.mail_delivery_service import MailDeliveryService
from delivery.use_cases.ask_about_emails import StatusEndpoint
from delivery.use_cases.submit_email import Provider
from topology.model import Topology


class MailProvider(Provider, StatusEndpoint, Protocol):
    """All that the consumers ask of a provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerParts:
    """What the consumers work with. One per process."""

    config: Config
    store: Store
    contract: SendContract
    topology: Topology
    publisher: Publisher
    replies: Publisher
    provider: MailProvider
    close_provider: Callable[[], Awaitable[None]]


def build_consumers(config: Config) -> ConsumerParts:
    provider = MailDeliveryService(config.provider)
    return ConsumerParts(
        config=config,
        store=build_store(config, timeout=CONSUMERS_STORE_TIMEOUT),
        contract=SendContract(extra_fields=config.provider.extra_fields),
        topology=topology_of(config),
        publisher=build_publisher(config, role="consumers"),
        replies=build_replies_publisher(config),
        provider=provider,
        close_provider=provider.close,
    )
