"""Features of highest variance shared between data sets: are they a property of the model?"""
