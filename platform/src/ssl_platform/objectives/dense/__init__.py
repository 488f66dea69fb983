"""Dense."""
