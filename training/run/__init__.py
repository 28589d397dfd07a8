"""A run on disk: folder, identity, state, metrics, lock."""
