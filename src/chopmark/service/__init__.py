"""What every face shares: who asks, what they may, whose turn it is, and how errors are told."""
