"""``python -m chopmark``."""

from chopmark.cli import main

main()
