"""The train loop and what it asks for: job and state, stages, conditioning, several processes, its failures."""
