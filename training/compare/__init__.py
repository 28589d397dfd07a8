"""LoRAs beside one another: what is drawn where, how it is kept, and what its pictures say."""
