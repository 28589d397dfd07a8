"""What the page of ComfyUI asks and hears: routes, running sessions, progress."""
