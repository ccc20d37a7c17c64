"""Where models come from, one module each, found by name."""
