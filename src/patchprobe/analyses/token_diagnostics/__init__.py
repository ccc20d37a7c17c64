"""What patch tokens are like, block by block: their lengths and outliers, rank, massive features, and how much position and neighbours say."""
