"""Data: manifests, what is wrong with them, batches, augmentation, and public corpora made ready."""
