"""`./postroom tenants` on a real store."""

import subprocess
import sys

from delivery.domain.tenants import MOST_TENANTS
from tests.harness.store import StoreDatabase


def test_no_more_tenants_are_made_than_consumers_have_channels_for(database: StoreDatabase) -> None:
    others = MOST_TENANTS - 2  # beside the default tenant, whom nobody needs to make
    database["tenants"].insert_many([{"_id": f"tenant-{number}", "share": 1} for number in range(others)])

    def create(tenant: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "cli", "tenants", "create", tenant]
        environ = {"MONGODB_URI": database.uri, "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert create("the-last").returncode == 0
    refused = create("one-too-many")
    assert refused.returncode != 0
    assert f"there are {MOST_TENANTS} tenants already" in refused.stderr
    assert database["tenants"].count_documents({}) == MOST_TENANTS - 1
