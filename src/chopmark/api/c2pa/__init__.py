"""The C2PA Soft Binding Resolution API (spec 2.4): from a mark or a likeness to a lost manifest."""
