import pytest

from simulator.durations import fixed
from simulator.faults import Beyond, Capacity, Down, DownMode, Faults, show_faults
from simulator.faults_parser import FaultsError, merge_faults


def mistakes_in(changes: object, *, has_control_port: bool = True) -> tuple[str, ...]:
    with pytest.raises(FaultsError) as refusal:
        merge_faults(Faults(), changes, has_control_port=has_control_port)
    return refusal.value.mistakes


def test_what_is_named_is_replaced_and_the_rest_stays() -> None:
    before = Faults(error_rate=0.2, rates={"hang": 0.1})
    after = merge_faults(before, {"latency": 1, "rates": {"429": 0.3}}, has_control_port=False)
    assert after == Faults(error_rate=0.2, latency=fixed(1), rates={"429": 0.3})


def test_nothing_named_changes_nothing() -> None:
    assert merge_faults(Faults(error_rate=0.2), {}, has_control_port=False) == Faults(error_rate=0.2)


@pytest.mark.parametrize(
    ("written", "down"),
    [
        ({"mode": "refuse", "seconds": 2}, Down(DownMode.REFUSE, 2)),
        ({"mode": "503"}, Down(DownMode.UNAVAILABLE, None)),
        ({"seconds": 2}, Down(DownMode.REFUSE, 2)),
        (None, None),
    ],
)
def test_down_has_a_mode_and_may_have_an_end(written: object, down: Down | None) -> None:
    assert merge_faults(Faults(), {"down": written}, has_control_port=True).down == down


@pytest.mark.parametrize(
    ("written", "capacity"),
    [
        ({"calls": 10}, Capacity(10, Beyond.REFUSED)),
        ({"calls": 0, "beyond": "429"}, Capacity(0, Beyond.REFUSED)),
        ({"calls": 10, "beyond": "slow"}, Capacity(10, Beyond.SLOW)),
        (None, None),
    ],
)
def test_a_capacity_refuses_or_slows_what_is_beyond(written: object, capacity: Capacity | None) -> None:
    assert merge_faults(Faults(), {"capacity": written}, has_control_port=False).capacity == capacity


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ({}, "capacity.calls: Missing data for required field."),
        ({"calls": -1}, "capacity.calls: Must be greater than or equal to 0."),
        ({"calls": 1, "beyond": "hang"}, "capacity.beyond: Must be one of: 429, slow."),
    ],
)
def test_a_capacity_that_makes_no_sense_is_a_mistake(written: object, mistake: str) -> None:
    assert mistakes_in({"capacity": written}) == (mistake,)


def test_the_status_budget_can_be_switched_off() -> None:
    assert merge_faults(Faults(), {"status_budget": None}, has_control_port=False).status_budget is None


def test_settings_are_shown_as_they_are_written() -> None:
    written = {
        "latency": {"distribution": "uniform", "low": 1.0, "high": 2.0},
        "capacity": {"calls": 7, "beyond": "slow"},
        "error_rate": 0.5,
        "rates": {"webhook-dup.3": 0.5},
        "down": {"mode": "503", "seconds": 3.0},
        "reset_connections": 0.1,
        "retry_after": 2.0,
        "webhook_delay": 4.0,
        "webhook_shuffle": 5.0,
        "status_budget": None,
        "status_ban": 6.0,
    }
    assert show_faults(merge_faults(Faults(), written, has_control_port=False)) == written


def test_every_mistake_is_named_at_once() -> None:
    assert mistakes_in(
        {
            "latency": "x",
            "error_rate": 2,
            "rates": {"hung": 0.1, "hang": -1, "error": 0.1},
            "down": {"mode": "refuze", "minutes": 1},
            "colour": "red",
        }
    ) == (
        "latency: must be seconds or a distribution",
        "error_rate: Must be greater than or equal to 0 and less than or equal to 1.",
        "rates.hung: unknown fault tag: 'hung'",
        "rates.error: the rate of error is error_rate",
        "rates.hang: Must be greater than or equal to 0 and less than or equal to 1.",
        "down.mode: Must be one of: refuse, 503.",
        "down.minutes: Unknown field.",
        "colour: Unknown field.",
    )


@pytest.mark.parametrize("changes", [[], "x", 1, None, True])
def test_settings_are_an_object(changes: object) -> None:
    assert mistakes_in(changes) == ("fault settings must be a JSON object",)


@pytest.mark.parametrize("changes", [{"error_rate": None}, {"error_rate": True}, {"status_budget": 1.5}])
def test_a_wrong_type_is_refused(changes: object) -> None:
    assert len(mistakes_in(changes)) == 1


def test_rates_that_exclude_each_other_add_up_to_at_most_one() -> None:
    assert mistakes_in({"error_rate": 0.6, "rates": {"hang": 0.5, "webhook-lost": 1}}) == (
        "the rates of error, hang exclude each other and add up to more than 1",
    )


def test_rates_of_different_axes_are_independent() -> None:
    faults = merge_faults(
        Faults(), {"error_rate": 1, "rates": {"webhook-lost": 1, "slow.1": 1}}, has_control_port=False
    )
    assert faults.error_rate == 1


@pytest.mark.parametrize("changes", [{"down": {"mode": "refuse"}}, {"reset_connections": 1}])
def test_nobody_is_locked_out_for_good(changes: object) -> None:
    (mistake,) = mistakes_in(changes, has_control_port=False)
    assert "could not be ended without a --control-port" in mistake
    merge_faults(Faults(), changes, has_control_port=True)
