"""How a run holds together: what it wants made, what results were made from, and who may publish them."""
