"""A text-to-image model that curates its own training set: prompts, rewards, what arms keep of them."""
