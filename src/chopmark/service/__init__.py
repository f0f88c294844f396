"""What every face shares: who asks, what they may, whose turn it is, what an error says."""
