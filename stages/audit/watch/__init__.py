"""Watching a run while it can still be stopped: what its finished shards hold, and whether that is as expected."""
