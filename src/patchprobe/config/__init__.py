"""The configuration: what it may say, and what each job takes of it."""
