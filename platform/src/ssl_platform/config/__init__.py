"""Configuration: schema, YAML, overrides, composition, provenance, recipes. Nothing here imports torch."""
