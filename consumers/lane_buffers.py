"""Messages that were delivered and wait for a slot: per lane, the highest priority first."""

import heapq
from itertools import count

from aio_pika.abc import AbstractIncomingMessage

from delivery.domain.lanes import Lane
from delivery.domain.slots import Slots

MAX_CLAIM = 200
"""Claimed at once: more would let the first wait for the last."""


class LaneBuffers:
    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._waiting: dict[Lane, list[tuple[int, int, AbstractIncomingMessage]]] = {
            lane: [] for lane in Lane
        }
        self._arrivals = count()

    def add(self, lane: Lane, message: AbstractIncomingMessage) -> None:
        heapq.heappush(self._waiting[lane], (-(message.priority or 0), next(self._arrivals), message))

    def take(self) -> list[tuple[Lane, AbstractIncomingMessage]]:
        """Take what there are slots for; each taken message holds a slot of its lane."""
        taken: list[tuple[Lane, AbstractIncomingMessage]] = []
        while len(taken) < MAX_CLAIM:
            lane = self._slots.take([lane for lane, waiting in self._waiting.items() if waiting])
            if lane is None:
                break
            taken.append((lane, heapq.heappop(self._waiting[lane])[2]))
        return taken

    def clear(self) -> list[AbstractIncomingMessage]:
        """Empty the buffers; returns what was in them."""
        left = [message for waiting in self._waiting.values() for _, _, message in waiting]
        for waiting in self._waiting.values():
            waiting.clear()
        return left
