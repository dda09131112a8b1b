"""postroom beside what people would use instead, and beside what broker, store and HTTP allow at most.

``python -m bench.comparison``; bench/README.md says how to read it.
"""
