"""ComfyUI around the graph: its folders, loaders, processes and signals."""
