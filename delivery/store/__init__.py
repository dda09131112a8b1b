"""MongoDB: the truth. Synchronous, called with whole batches, one file per collection."""
