"""Image corruptions, one kind per module of ``kinds``, found by name."""
