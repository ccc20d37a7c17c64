"""What the data sets of a run consist of."""
