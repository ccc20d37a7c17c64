"""What the paper regresses, arXiv 2401.00463, table 6."""

PAPER_CLASSES = ("road", "building", "vegetation")
