from delivery.domain.provider_events import ProviderEvent
from delivery.domain.reports import Report


def test_an_events_id_is_unique_over_all_providers() -> None:
    ids = {
        ProviderEvent(
            provider=provider, provider_event_id="1", email_id="e", report=Report.DELIVERED, raw="{}"
        ).event_id
        for provider in ("one", "another")
    }
    assert ids == {"one:1", "another:1"}
