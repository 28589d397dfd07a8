"""The training loop and what it needs: job and state, stages, conditioning, parallel processes, failures."""
