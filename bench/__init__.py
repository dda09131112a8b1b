"""Load and latency of the whole system on this machine. ``make bench``; README.md says how to read it."""
