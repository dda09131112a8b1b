"""Clocks of different machines."""

from datetime import timedelta

CLOCK_MARGIN = timedelta(seconds=2)
"""How far two machines' clocks may be apart without an email waiting, or a lease running out, too early."""
