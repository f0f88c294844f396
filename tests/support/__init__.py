"""What many tests stand on: one stand-in generator, one live server, one way to open a home."""
