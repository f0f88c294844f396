"""Policy as data: read, checked, versioned, hashed."""
