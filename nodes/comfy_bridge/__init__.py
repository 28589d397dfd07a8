"""The only place that touches ComfyUI's internals: models, text encoders, sampling, folders, progress."""
