"""Loading a configuration that a test writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from delivery.config import load_config
from delivery.config_values import Config, InvalidConfiguration

Load = Callable[..., Config]
Faults = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads this content of postroom.toml with these variables."""

    def load(file: str = "", **environ: str) -> Config:
        path = tmp_path / "postroom.toml"
        path.write_text(file, encoding="utf-8")
        return load_config({"POSTROOM_CONFIG": str(path), **environ})

    return load


@pytest.fixture
def faults(load: Load) -> Faults:
    def faults(file: str = "", **environ: str) -> list[str]:
        with pytest.raises(InvalidConfiguration) as invalid:
            load(file, **environ)
        return str(invalid.value).split("; ")

    return faults
