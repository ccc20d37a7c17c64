"""What Snakemake is told of jobs that are forked from a server, see :mod:`patchprobe.run.forkserver`."""

from typing import Any

from patchprobe.run import forkserver


def hand_over_first(script: Any) -> None:
    """Let scripts of Snakemake's class ``script`` be handed over before what Snakemake writes in front of them.

    For that, the process that waits for the job would import much of Snakemake.
    """
    write = script.write_script

    def write_script(self: Any, preamble: str, file: Any) -> None:
        write(self, forkserver.FIRST_LINE + preamble, file)

    script.write_script = write_script


def measure_no_memory(timer: Any) -> None:
    """Let Snakemake's class ``timer`` take no samples of memory and load, which are then NA in files of benchmarks.

    They would be those of the process that waits; and for each, all processes of the machine are looked through, twice a
    second for each job. The time that a job takes is known without them.
    """

    def start(self: Any) -> None:
        # Without it Snakemake warns of a job of which it knows nothing.
        self.bench_record.process_gone = True

    timer.start = start
