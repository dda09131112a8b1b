"""``postroom``: what operators do from a shell. Every command has ``--help``, tables, and ``--json``."""
