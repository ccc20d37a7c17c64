"""Data sets: one interface, whatever their layout on disk."""
