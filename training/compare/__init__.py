"""Comparisons of LoRAs: what is drawn in which cell, how it is stored, and what the pictures show."""
