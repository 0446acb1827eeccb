"""Training: plain functions that take rows and give adapters."""
