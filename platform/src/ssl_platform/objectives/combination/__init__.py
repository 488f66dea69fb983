"""Objectives made of other objectives."""
