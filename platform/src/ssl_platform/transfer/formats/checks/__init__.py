"""Scripts that are written beside an export: each runs with what its format needs and nothing else."""
