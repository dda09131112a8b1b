import pytest

from delivery.domain.lanes import Lane
from delivery.domain.tenant_lanes import TenantLane


@pytest.mark.parametrize(("tenant_id", "key"), [("default", "bulk"), ("acme", "bulk.acme")])
def test_a_tenants_place_in_a_lane_has_its_name_in_the_key_the_default_tenant_has_the_lanes(
    tenant_id: str, key: str
) -> None:
    assert TenantLane(Lane.BULK, tenant_id).key == key
