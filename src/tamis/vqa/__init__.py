"""Visual question answering by models that are no chat models."""
