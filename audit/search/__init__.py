"""Finding records: queries, and the projection that answers them."""
