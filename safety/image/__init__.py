"""Pictures: decode safely, look up, score, judge."""
