"""What a single patch token knows of its whole tile: the shares of classes, by ridge regression (arXiv 2401.00463)."""
