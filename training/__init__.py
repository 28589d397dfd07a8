"""LoRA training for diffusion models in plain torch; knows nothing of ComfyUI."""
