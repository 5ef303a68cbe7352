"""Point-in-time features: the same code for training dates, nightly scoring and one subject."""
