"""The k-NN protocol of CAPI: a vote for every pixel, with k and scaling chosen on training images."""
