"""The log itself: what an entry is, how it is written once and for ever, and how it is read."""
