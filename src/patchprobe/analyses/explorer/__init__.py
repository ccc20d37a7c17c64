"""Explorer: which patches are alike for a model, in the same image and in the training set, and which for another?"""
