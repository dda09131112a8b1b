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
        self._faults = faults
        self._at_start = replace(faults, down=None)
        self._provider = provider
        self._port = port
        self._has_control_port = has_control_port
        self._waking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._enforce_down(self._faults.down)

    def change(self, changes: object) -> None:
        """Replaces the settings named in `changes`, a JSON object, or none of them and raises FaultsError."""
        before = self._faults.down
        self._follow(merge_faults(self._faults, changes, has_control_port=self._has_control_port))
        if self._faults.down is not before:
            self._enforce_down(self._faults.down)

    def reset(self) -> None:
        """Back to the settings of the start, and up."""
        self._follow(self._at_start)
        self._enforce_down(None)

    def show(self) -> dict[str, object]:
        """The settings as JSON; the `seconds` of `down` are those that are left."""
        shown = show_faults(self._faults)
        if self._faults.down is not None and self._waking is not None:
            left = self._waking.when() - asyncio.get_running_loop().time()
            shown["down"] = {"mode": self._faults.down.mode, "seconds": max(0.0, left)}
        return shown

    def _follow(self, faults: Faults) -> None:
        self._faults = faults
        self._provider.follow(faults)

    def _enforce_down(self, down: Down | None) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if down is not None and down.mode is DownMode.REFUSE:
            self._port.shut()
        else:
            self._port.open()
        if down is not None and down.seconds is not None:
            self._waking = asyncio.get_running_loop().call_later(down.seconds, self._wake)

    def _wake(self) -> None:
        self._follow(replace(self._faults, down=None))
        self._enforce_down(None)
