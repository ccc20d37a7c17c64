"""Speed and memory against references: ``python -m benchmarks [name ...]`` from the root of the repository.

Each module here that has ``run() -> list[Result]`` is one benchmark; a new one is a new file. Candidates take turns
within one run and medians are compared, so the ratios hold on a busy machine where the times do not.
"""
