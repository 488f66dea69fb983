"""Tokenizers and backbones for bands of many sensors."""
