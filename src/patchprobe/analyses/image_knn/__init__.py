"""Image-level k-NN and linear probe on pooled features, at several ground sample distances (protocol section 8)."""
