"""Runs that were killed or got a signal end in the bytes of undisturbed ones: each kind once, of a few jobs in a row.

``python tests/disturbed.py`` is the long form, with random moments and changes. What files suffer is in
``test_disturbed_files``, so that two workers share the time.
"""

import pytest
from disturbance.trials import Trial, run_trial

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("own_forkserver")]

TRIALS = (
    Trial("kill-job", 0, "patch-size", moment="extract"),
    Trial("kill-server", 0, "patch-size", moment=0.5),
    Trial("kill-snakemake", 0, "patch-size", moment="extract"),
    Trial("kill-snakemake-and-wait", 0, "patch-size", moment="fit_probe"),
    Trial("term-snakemake", 0, "patch-size", moment=0.4),
    Trial("int-group", 0, "patch-size", moment="extract"),
    Trial("hup-snakemake", 0, "patch-size", moment=0.5),
)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.kind}-{trial.seed}")
def test_the_same_line_repairs(chain, tmp_path, trial):
    verdict = run_trial(trial, chain, tmp_path)
    print(verdict.describe())
    assert not verdict.problem, verdict.describe()
