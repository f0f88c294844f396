"""Prompts: normalise, look up, score, judge."""
