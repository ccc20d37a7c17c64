"""Files of weights: fetched, recognised and read without running anything in them."""
