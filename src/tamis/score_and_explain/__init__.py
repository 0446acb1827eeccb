"""Pictures with scores from 1 to 10, and a model that learns to score them and to say why: readers, splits."""
