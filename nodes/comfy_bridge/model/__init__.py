"""MODEL, CLIP and VAE of the graph as training sees them: weights, gradients, text, LoRAs and digests of them."""
