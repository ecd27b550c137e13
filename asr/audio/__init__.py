"""Audio files: decoded, resampled, read in blocks and ahead of their use."""
