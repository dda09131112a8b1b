"""The breaker's document against the real store: whoever is first changes it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from delivery.domain.breaker import Breaker, Phase, closed, opened, probing
from delivery.store.breakers import Breakers
from tests.harness.store import StoreDatabase
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import BREAKER, NOW, seconds

PROVIDER = "mail-delivery-service"
UNTIL = NOW + seconds(17)
RACES = 20


def _open(breaker: Breaker) -> Breaker:
    return opened(breaker, reason="HTTP 503", is_misconfigured=True, policy=BREAKER, now=NOW)


def test_a_provider_that_nobody_wrote_about_is_closed(postroom: Store) -> None:
    assert Breakers(postroom.db).get(PROVIDER) == Breaker()


def test_what_is_written_is_what_all_others_see(
    postroom: Store, database: StoreDatabase, open_store: Callable[..., Store]
) -> None:
    one, other = Breakers(postroom.db), Breakers(open_store(database.uri).db)
    steps = [_open(Breaker())]
    steps += [probing(steps[-1], until=UNTIL)]
    steps += [closed(steps[-1], now=UNTIL)]
    seen = Breaker()
    for step in steps:
        assert one.change(PROVIDER, seen=seen, to=step)
        seen = other.get(PROVIDER)
        assert seen == step
    assert other.get("another") == Breaker()


def test_a_change_of_what_has_changed_meanwhile_is_not_written(postroom: Store) -> None:
    breakers = Breakers(postroom.db)
    opened_once = _open(Breaker())
    assert breakers.change(PROVIDER, seen=Breaker(), to=opened_once)
    assert not breakers.change(PROVIDER, seen=Breaker(), to=_open(Breaker()))
    probed = probing(opened_once, until=UNTIL)
    assert breakers.change(PROVIDER, seen=opened_once, to=probed)
    assert not breakers.change(PROVIDER, seen=opened_once, to=closed(opened_once, now=NOW))
    assert breakers.get(PROVIDER) == probed


def test_of_processes_that_race_for_an_opening_or_a_probe_one_wins(
    database: StoreDatabase, open_store: Callable[..., Store]
) -> None:
    """Each knows of itself alone that it won, so exactly one must be told so."""
    racers = [Breakers(open_store(database.uri).db) for _ in range(4)]
    together = Barrier(len(racers))

    def race(breakers: Breakers, provider: str) -> bool:
        seen = breakers.get(provider)
        together.wait(timeout=60)
        to = _open(seen) if seen.is_closed else probing(seen, until=UNTIL)
        return breakers.change(provider, seen=seen, to=to)

    with ThreadPoolExecutor(len(racers)) as threads:
        for number in range(RACES):
            for phase in (Phase.OPEN, Phase.HALF_OPEN):
                won = list(threads.map(race, racers, [str(number)] * len(racers)))
                assert won.count(True) == 1
                assert racers[0].get(str(number)).phase is phase
