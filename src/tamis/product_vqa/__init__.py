"""Single-word questions about pictures of products: a catalogue's listings, questions written of them, their splits."""
