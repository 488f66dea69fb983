"""Decoders from the features of a backbone to one prediction a cell, for grids of rank 1 to 3."""
