"""``python -m chopmark_verify``."""

from chopmark_verify import main

main()
