"""One verb per file. What a use case needs of store, broker or provider stands beside it as a Protocol.

Use cases that only talk to the store are synchronous and take whole batches; asynchronous callers run them
with ``asyncio.to_thread``.
"""
