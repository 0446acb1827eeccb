"""How the packaged models are made: one file a model, each with its data, its loss and the skills it must show."""
