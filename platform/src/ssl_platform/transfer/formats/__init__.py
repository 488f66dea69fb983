"""What encoders and models are exported as, a file a format."""
