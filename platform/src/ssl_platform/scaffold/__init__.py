"""`ssl-platform new-plugin`: from a name to a distribution that installs, passes its tests and trains."""
