"""Inputs that nodes share, and what every input is checked for before a node runs."""
