"""Protocols of patch classification side by side."""
