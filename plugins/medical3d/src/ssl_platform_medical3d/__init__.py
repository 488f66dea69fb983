"""Three-dimensional medical volumes for ssl-platform."""
