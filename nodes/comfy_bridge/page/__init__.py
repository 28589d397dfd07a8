"""Communication with the page of ComfyUI: routes, live runs, progress."""
