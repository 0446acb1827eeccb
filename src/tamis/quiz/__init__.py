"""Quizzes that a judge writes and takes: what quiz_lora selects pictures by, grades them with, and publishes."""
