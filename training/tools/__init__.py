"""What is done with LoRAs after training: merge, bake, resize, extract, inspect."""
