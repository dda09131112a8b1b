"""The fault settings in force: changing them live, and being down for a while."""

import asyncio
from dataclasses import replace

from simulator.connections import ProviderPort
from simulator.faults import Down, DownMode, Faults, show_faults
from simulator.faults_parser import merge_faults
from simulator.provider import Provider


class FaultControl:
    """Applies the settings to the provider and its port, which `start` opens."""

    def __init__(
        self, *, faults: Faults, provider: Provider, port: ProviderPort, has_control_port: bool
    ) -> None:
        self.faults = faults
        self._at_start = replace(faults, down=None)
        self._provider = provider
        self._port = port
        self._has_control_port = has_control_port
        self._waking: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        async with self._turn:
            await self._enforce(self.faults)

    async def change(self, changes: object) -> None:
        """Replaces the settings named in `changes`, a JSON object, or none of them and raises FaultsError."""
        async with self._turn:
            faults = merge_faults(self.faults, changes, has_control_port=self._has_control_port)
            await self._enforce(faults)

    async def reset(self) -> None:
        """Back to the settings of the start, and up."""
        async with self._turn:
            await self._enforce(self._at_start)

    def show(self) -> dict[str, object]:
        """The settings as JSON; the `seconds` of `down` are those that are left."""
        shown = show_faults(self.faults)
        if self.faults.down is not None and self._waking is not None:
            left = self._waking.when() - asyncio.get_running_loop().time()
            shown["down"] = {"mode": self.faults.down.mode, "seconds": max(0.0, left)}
        return shown

    async def _enforce(self, faults: Faults) -> None:
        before, self.faults = self.faults.down, faults
        self._provider.follow(faults)
        if faults.down is None or faults.down.mode is not DownMode.REFUSE:
            await self._port.open()
        else:
            self._port.shut()
        if faults.down is not before or self._waking is None:
            self._wake_after(faults.down)

    def _wake_after(self, down: Down | None) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if down is not None and down.seconds is not None:
            self._waking = asyncio.get_running_loop().call_later(down.seconds, self._wake, down)

    def _wake(self, down: Down) -> None:
        task = asyncio.get_running_loop().create_task(self._end(down))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, down: Down) -> None:
        async with self._turn:
            if self.faults.down is down:
                await self._enforce(replace(self.faults, down=None))
