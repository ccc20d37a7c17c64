"""What tokens hold: colour, brightness, edges, frequencies, position and context, by ridge regression, and in which of their features."""
