"""HTTP: health and metrics so far."""
