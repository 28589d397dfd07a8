"""Nodes under *Training* and *Network*: what is trained, how, and the train loop itself."""
