"""One call that trains: from a request to a plan, the run on disk, the training loop and the result."""
