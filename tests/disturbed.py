"""Disturb runs of the workflow at random moments; they have to end in the bytes of undisturbed ones.

    python tests/disturbed.py --runs 60 --seed 0

Each disturbed run starts from nothing or from a finished run whose configuration or code was changed. It is disturbed
(killed, stopped, cut off from power or space, ...), then the same line is given again, up to three times, and nothing else
is done. Results have to be those of an undisturbed run of the changed configuration, byte for byte. A line that says what to
delete is followed. Anything else is a failure, and makes the exit status 1. ``tests/workflow/test_disturbed*.py`` are a
short form. ``--failures`` lets jobs of every rule fail in every way after every change instead.

Undisturbed runs are kept in ``--workspace`` and used again as long as code and configuration are the same.
"""

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests/workflow")]

from disturbance.cases import CHANGES, CONFIGS, EVERYTHING, NOTHING, Cases  # noqa: E402
from disturbance.failures import WAYS, fail_every_rule  # noqa: E402
from disturbance.kinds import KINDS  # noqa: E402
from disturbance.mounts import MOUNTED, permitted  # noqa: E402
from disturbance.trials import draw, run_trial  # noqa: E402


def main() -> int:
    """Run what the command line says; 1 if something failed."""
    options = _options()
    workspace = options.workspace or Path(tempfile.mkdtemp(prefix="disturbed-"))
    config = options.config or ("full" if options.failures else "small")
    cases = Cases(REPOSITORY, workspace / "undisturbed", config, options.cores)
    began = time.monotonic()
    try:
        run = _fail if options.failures else _disturb
        verdicts = run(options, cases, workspace)
    finally:
        if not options.workspace and not options.keep:
            shutil.rmtree(workspace, ignore_errors=True)
    failed = [verdict for verdict in verdicts if verdict.problem]
    counts = {
        "the same": sum(not v.problem and not v.told for v in verdicts),
        "said what to delete": sum(not v.problem and bool(v.told) for v in verdicts),
        "failed": len(failed),
        "over before the moment": sum(not v.disturbed for v in verdicts),
    }
    print(f"\n{len(verdicts)} runs in {time.monotonic() - began:.0f} s: {counts}")
    for kind in sorted({verdict.trial.kind for verdict in failed}):
        print(f"  {kind}: {sum(v.trial.kind == kind for v in failed)} failed")
    return 1 if failed else 0


def _disturb(options, cases, workspace):
    kinds = options.kinds or [*KINDS, *(MOUNTED if permitted() else [])]
    if options.kinds is None and MOUNTED.keys() - set(kinds):
        print(f"not tried, because nothing can be mounted here: {', '.join(MOUNTED)}")
    trials = [draw(options.seed + number, kind) for number, kind in zip(range(options.runs), itertools.cycle(kinds))]
    names = {t.change for t in trials} | {t.other for t in trials if t.kind == "orphan-of-another"}
    for name in [NOTHING.name, *sorted(names)]:
        print(f"undisturbed: {name}", flush=True)
        cases.finished(CHANGES.get(name, NOTHING))
    verdicts = []
    for trial in trials:
        folder = workspace / f"{trial.seed}-{trial.kind}"
        shutil.rmtree(folder, ignore_errors=True)
        verdict = run_trial(trial, cases, folder)
        verdicts.append(verdict)
        print(verdict.describe(), flush=True)
        if verdict.problem and options.keep:
            print(f"    kept: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return verdicts


def _fail(options, cases, workspace):
    verdicts = []
    for name, rotation in itertools.product(options.changes or [EVERYTHING.name, *CHANGES], range(len(WAYS))):
        folder = workspace / f"failures-{name}-{rotation}"
        shutil.rmtree(folder, ignore_errors=True)
        outcome = fail_every_rule(cases, CHANGES.get(name, EVERYTHING), folder, rotation)
        if outcome.unnoticed and not outcome.verdict.problem:
            outcome.verdict.problem = "failures went unnoticed"
        verdicts.append(outcome.verdict)
        print(outcome.describe(), flush=True)
        if not (outcome.verdict.problem and options.keep):
            shutil.rmtree(folder, ignore_errors=True)
    return verdicts


def _options() -> argparse.Namespace:
    kinds, changes = ", ".join([*KINDS, *MOUNTED]), ", ".join([EVERYTHING.name, *CHANGES])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=60, help="disturbed runs (60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first, one more for each (0)")
    parser.add_argument(
        "--kinds",
        nargs="+",
        metavar="KIND",
        choices=[*KINDS, *MOUNTED],
        help=f"kinds of disturbance, in turn, of {kinds} (all)",
    )
    parser.add_argument("--config", choices=list(CONFIGS), help="the workflow that is run (small; full for failures)")
    parser.add_argument("--failures", action="store_true", help="let jobs of every rule fail instead")
    parser.add_argument(
        "--changes",
        nargs="+",
        metavar="CHANGE",
        choices=[EVERYTHING.name, *CHANGES],
        help=f"changes for --failures, of {changes} (all)",
    )
    parser.add_argument("--cores", type=int, default=2, help="--cores of the runs (2)")
    parser.add_argument("--workspace", type=Path, help="folder to work in, a new one if left out")
    parser.add_argument("--keep", action="store_true", help="keep the folders of runs that failed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
