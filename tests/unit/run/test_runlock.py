import subprocess
import sys

import pytest

from patchprobe.run import lock as runlock

HOLD = (
    "import sys; from pathlib import Path; from patchprobe.run import lock as runlock\n"
    "runlock.hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_lock_ends_with_its_process_even_by_sigkill(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(runlock.FolderInUseError, match=f"process {process.pid}"):
        runlock.hold(tmp_path)
    process.kill()
    process.wait(30)
    runlock.hold(tmp_path)
