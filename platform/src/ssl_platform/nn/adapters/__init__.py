"""Backbones of other libraries, and nets of lower rank over the slices of a volume."""
