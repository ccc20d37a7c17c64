"""Linear probes on frozen tokens."""
