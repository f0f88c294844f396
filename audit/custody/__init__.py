"""What happens to content: erasure, legal holds, the end of retention, and what lies beside it."""
