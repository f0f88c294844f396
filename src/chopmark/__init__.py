"""Chopmark."""
