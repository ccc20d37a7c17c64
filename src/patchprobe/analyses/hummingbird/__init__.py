"""The retrieval protocol of Hummingbird: labels of near patches mixed by similarity, upsampled bilinearly."""
