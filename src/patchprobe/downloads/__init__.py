"""Files from elsewhere: fetched, compared with their digests, unpacked; of what kind they are, others know."""
