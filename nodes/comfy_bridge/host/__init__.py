"""ComfyUI's surroundings of the graph: folders, loaders, processes and signals."""
