"""Clocks of different machines, and how fine times are."""

from datetime import timedelta

CLOCK_MARGIN = timedelta(seconds=2)
"""How far two machines' clocks may be apart without an email waiting, or a lease running out, too early."""

TICK = timedelta(milliseconds=1)
"""MongoDB's times are no finer. https://www.mongodb.com/docs/manual/reference/bson-types/#date"""
