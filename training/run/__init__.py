"""A run as a thing on disk: folder, identity, state, metrics, lock."""
