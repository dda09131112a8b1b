import signal
import threading
from pathlib import Path

import pytest
import requests

from tests.harness.deadline import wait_until
from tests.integration.simulator.running import Simulator, simulator, start


def fails_to_start(*options: str, secret: str = "") -> tuple[int, str]:
    process = start(*options, secret=secret)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors.splitlines()[-1]


def test_it_says_in_one_line_where_it_listens() -> None:
    with simulator() as running:
        assert running.ready_line == f"simulator is ready: {running.url}"
        assert running.get("/readyz") == {"status": "ready"}


def test_sigterm_ends_it_with_calls_acceptances_and_webhooks_pending() -> None:
    with simulator("--webhook-url", "http://127.0.0.1:9/") as running:
        running.submit("fault+504-then-accept.100@example.com")
        running.submit("fault+webhook-late.100@example.com")
        caller = threading.Thread(target=hang, args=(running,))
        caller.start()
        wait_until(lambda: running.summary()["in_flight"], within=10, what="a call hangs")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0
        caller.join()
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""


def hang(running: Simulator) -> None:
    with pytest.raises(requests.ConnectionError):
        running.submit("fault+hang@example.com")


def test_faults_may_be_set_at_the_start_from_text_or_a_file(tmp_path: Path) -> None:
    written = '{"error_rate": 1}'
    (tmp_path / "faults.json").write_text(written)
    for option in (written, str(tmp_path / "faults.json")):
        with simulator("--faults", option) as running:
            assert running.submit("anna@example.com").status_code == 500


def test_it_may_start_down() -> None:
    with simulator("--control-port", "0", "--faults", '{"down": {"mode": "refuse"}}') as running:
        with pytest.raises(OSError, match="refused"):
            running.submit("anna@example.com")
        running.delete("/_faults")
        assert running.submit("anna@example.com").status_code == 200


def test_mistakes_in_the_options_are_explained() -> None:
    assert fails_to_start("--faults", '{"colour": 1, "latency": -1}') == (
        2,
        "python -m simulator: error: --faults: latency: seconds must be a number from 0 to 86400; "
        "colour: Unknown field.",
    )


def test_it_refuses_to_send_webhooks_that_nobody_can_trust() -> None:
    code, error = fails_to_start("--webhook-url", "http://127.0.0.1:9/")
    assert code == 2
    assert "set SIMULATOR_WEBHOOK_SECRET or --webhook-secret-in-path" in error


def test_a_taken_port_is_named() -> None:
    with simulator() as running:
        port = running.url.rpartition(":")[2]
        code, error = fails_to_start("--port", port)
    assert code == 1
    assert "Address already in use" in error
