"""Put the library of this checkout first on the path: it is the one whose code the digests vouch for.

Then let the run's fork server go on with the script, if there is one.
"""

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from patchprobe.run.forkserver import hand_over

hand_over()
# By itself the job imports much that stays, see the launcher.
gc.set_threshold(50_000)
