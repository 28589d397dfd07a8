"""The diffusion objective: noise, timesteps, target, loss and weights."""
