"""LoRA files: atomic writing, safetensors with metadata and hashes, key names of other tools."""
