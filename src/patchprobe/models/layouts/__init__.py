"""How the tensors of released checkpoints are named, one module per release."""
