"""Which parts a run starts, on which ports, and how they are joined."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from stack.broker import Broker, BrokerPorts, BrokerSettings
from stack.credentials import Credentials
from stack.part import Part
from stack.ports import LOOPBACK, is_free, next_free
from stack.services import Surroundings, Wiring, api_part, consumers_part, simulator_part
from stack.settings import Given, InvalidSettings
from stack.store import store_part, store_uri

VHOST = "postroom"
POSTROOM_USER = "postroom"
OPERATOR_USER = "operator"
SERVICE_USER = "example-service"


class StackPart(Protocol):
    """What the supervisor needs of a part; Part and Broker have it."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    def start(self) -> None: ...
    def running(self) -> bool: ...
    def is_ready(self) -> bool: ...
    def check_running(self) -> None: ...
    def terminate(self) -> None: ...
    def stop(self, within: float) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The usual ports. One that is taken gives way to the next free one."""

    amqp: int = 5672
    management: int = 15672
    prometheus: int = 15692
    distribution: int = 25672
    epmd: int = 4370
    store: int = 27017
    api: int = 8080
    simulator: int = 8081
    simulator_control: int = 8082


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The parts of one run; None where something given is used instead. webhook_secret: the simulator's."""

    broker: Broker | None
    store: Part | None
    simulator: Part | None
    api: Part
    consumers: tuple[Part, ...]
    wiring: Wiring
    ports: Ports

    @property
    def foundation(self) -> list[StackPart]:
        """What the rest needs, in the order of starting."""
        return [part for part in (self.broker, self.store, self.simulator) if part is not None]

    @property
    def services(self) -> list[StackPart]:
        """What starts once the foundation is ready."""
        return [self.api, *self.consumers]

    @property
    def parts(self) -> list[StackPart]:
        return [*self.foundation, *self.services]

    @property
    def provider_control_url(self) -> str | None:
        return f"http://{LOOPBACK}:{self.ports.simulator_control}" if self.simulator else None


def make_plan(
    given: Given,
    *,
    ports: Ports,
    credentials: Credentials,
    folder: Path,
    around: Surroundings,
    consumers: int,
    is_extended: bool = False,
) -> Plan:
    """Nothing is started yet. Raises InvalidSettings, and RabbitMQMissing where it is needed."""
    chosen = _choose_ports(ports, given)
    wiring = _wire(given, chosen, credentials)
    return Plan(
        broker=None if given.amqp_url else _broker(chosen, credentials, folder, around),
        store=None if given.mongodb_uri else _store(chosen, folder, around),
        simulator=None if given.provider_url else _simulator(chosen, wiring, around, is_extended),
        api=api_part(around, wiring=wiring),
        consumers=tuple(
            consumers_part(around, wiring=wiring, number=number, health_port=port)
            for number, port in enumerate(_health_ports(chosen, consumers), start=1)
        ),
        wiring=wiring,
        ports=chosen,
    )


def without_login(url: str) -> str:
    """The URL without user and password, fit to be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _choose_ports(usual: Ports, given: Given) -> Ports:
    if given.api_port is not None and not is_free(given.api_port):
        raise InvalidSettings(f"API_PORT is {given.api_port}, but something listens there already")
    taken = {given.api_port} if given.api_port is not None else set()
    chosen: dict[str, int] = {}
    for name, port in asdict(usual).items():
        chosen[name] = next_free(port, taken=taken)
        taken.add(chosen[name])
    if given.api_port is not None:
        chosen["api"] = given.api_port
    return Ports(**chosen)


def _health_ports(ports: Ports, count: int) -> list[int]:
    taken = set(asdict(ports).values())
    found: list[int] = []
    for _ in range(count):
        found.append(next_free(ports.simulator_control + 1, taken=taken))
        taken.add(found[-1])
    return found


def _wire(given: Given, ports: Ports, credentials: Credentials) -> Wiring:
    login = f"{POSTROOM_USER}:{credentials.postroom_password}"
    return Wiring(
        amqp_url=given.amqp_url or f"amqp://{login}@{LOOPBACK}:{ports.amqp}/{VHOST}",
        mongodb_uri=given.mongodb_uri or store_uri(ports.store, "postroom"),
        provider_url=given.provider_url or f"http://{LOOPBACK}:{ports.simulator}",
        webhook_secrets=given.webhook_secrets or credentials.webhook_secret,
        recipient_hash_key=given.recipient_hash_key or credentials.recipient_hash_key,
        api_port=ports.api,
    )


def _broker(ports: Ports, credentials: Credentials, folder: Path, around: Surroundings) -> Broker:
    settings = BrokerSettings(
        ports=BrokerPorts(
            amqp=ports.amqp,
            management=ports.management,
            prometheus=ports.prometheus,
            distribution=ports.distribution,
            epmd=ports.epmd,
        ),
        user=POSTROOM_USER,
        password=credentials.postroom_password,
        cookie=credentials.erlang_cookie,
        vhost=VHOST,
    )
    return Broker(
        settings,
        folder=folder / "rabbitmq",
        log=around.logs / "rabbitmq.log",
        owner=around.owner,
        environ=around.environ,
    )


def _store(ports: Ports, folder: Path, around: Surroundings) -> Part:
    return store_part(
        port=ports.store,
        folder=folder / "store",
        log=around.logs / "store.log",
        owner=around.owner,
        environ=around.environ,
    )


def _simulator(ports: Ports, wiring: Wiring, around: Surroundings, is_extended: bool) -> Part:
    return simulator_part(
        around,
        port=ports.simulator,
        control_port=ports.simulator_control,
        webhook_url=wiring.webhook_url,
        secret=wiring.webhook_secrets.split(",")[0].strip(),
        options=["--extended"] if is_extended else [],
    )
