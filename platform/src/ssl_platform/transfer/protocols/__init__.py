"""How an encoder is asked: one file a protocol."""
