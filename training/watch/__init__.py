"""What observes a run while it trains: divergence, validation, previews, the user's controls; and its final report."""
