"""Any order of outcomes, reports, checks, deadlines and requeues ends well: no I/O, thousands of orders."""

from hypothesis import settings

from tests.harness.interleavings import Interleavings
from tests.harness.taking_back import TakingBack

Interleavings.TestCase.settings = settings(max_examples=800, stateful_step_count=20, deadline=None)

TestInterleavings = Interleavings.TestCase

TakingBack.TestCase.settings = settings(max_examples=800, stateful_step_count=20, deadline=None)

TestTakingBack = TakingBack.TestCase
