"""Charts and lettering as pictures."""
