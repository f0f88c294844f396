"""What several tests share; ``from tests.support import ...`` works from the repository's root."""
