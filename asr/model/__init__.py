"""The acoustic model: features, encoder, log-probabilities; the folder that holds it, and its export to ONNX."""
