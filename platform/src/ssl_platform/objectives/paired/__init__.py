"""Masked prediction over pairs of views of one sample."""
