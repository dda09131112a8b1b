"""Letters in ``email.dead`` and ``email.held``: counting them, and removing those that stand for nothing."""

import asyncio
import logging
from collections.abc import Sequence

from cli.output import Output
from cli.parts import Parts
from delivery.broker.letters import Pass, depth, remove
from delivery.domain.states import State
from delivery.use_cases.sweep_letters import StaleLetters
from topology import names

QUEUES = {State.DEAD: names.DEAD_QUEUE, State.HELD: names.HELD_QUEUE}

MOST_PASSES = 5


def count_letters(state: State, parts: Parts) -> int:
    """Raises BrokerUnavailable."""
    _be_quiet()
    return asyncio.run(depth(parts.config.amqp_url, QUEUES[state]))


def remove_letters(state: State, parts: Parts, output: Output) -> int:
    """Remove what stands for nothing any more, until a pass finds none; returns how many these were.

    Another pass, because a letter may have been out of sight: somebody looked at it, or it was on its way.
    Raises BrokerUnavailable and StoreUnavailable; what was removed by then is gone rightly.
    """
    _be_quiet()
    total = 0
    for _ in range(MOST_PASSES):
        done = asyncio.run(_pass(state, parts, output))
        total += done.removed
        if not done.removed:
            break
    return total


async def _pass(state: State, parts: Parts, output: Output) -> Pass:
    stale = StaleLetters(parts.store.emails)

    async def judge(bodies: Sequence[bytes]) -> Sequence[bool]:
        return await asyncio.to_thread(stale, bodies)

    url, queue = parts.config.amqp_url, QUEUES[state]
    with output.progress(f"looking through {queue}", total=None) as reached:
        return await remove(url, queue, judge, tell=lambda done: reached(done.seen))


def _be_quiet() -> None:
    """What aiormq logs is in the error that we print, and its own words have the broker's address."""
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
