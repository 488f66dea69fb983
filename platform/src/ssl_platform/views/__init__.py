"""Batches to views on the device, with the geometry that made them."""
