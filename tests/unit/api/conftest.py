from pathlib import Path

import pytest

from tests.unit.api.fakes import FakeApi, Start


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Builds the app with these variables; without a postroom.toml."""
    empty = tmp_path / "postroom.toml"
    empty.write_text("", encoding="utf-8")

    def start(*, config: str = "", **environ: str) -> FakeApi:
        empty.write_text(config, encoding="utf-8")
        return FakeApi(POSTROOM_CONFIG=str(empty), **environ)

    return start


@pytest.fixture
def api(start: Start) -> FakeApi:
    return start()
