"""What looks at a run while it trains: divergence, validation, previews, a person at the controls; and its report."""
