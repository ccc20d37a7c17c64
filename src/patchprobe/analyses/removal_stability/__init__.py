"""Whether data sets and blocks agree on what is taken out of tokens: is it a property of the model, or of what it sees?"""
