"""What can be found wrong with a configuration before the first job, beyond its schema."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from patchprobe.errors import ConfigError


def check(config: Mapping[str, Any], *, device: str) -> None:
    """Open every data set, corruption and objective's options of a validated configuration, and see that ``device`` is there.

    Raises ConfigError, DataError or DeviceError with the message that the job would end with.
    """
    # Imported here, since the workflow imports this module on every parse and runs it once.
    from patchprobe.corruptions import open_corruption
    from patchprobe.datasets import open_dataset
    from patchprobe.datasets.demo.generators import open_generator
    from patchprobe.devices import check_device

    check_device(device)
    for kind, entry in config["corruptions"].items():
        open_corruption(kind, entry)
    for name, entry in config["datasets"].items():
        if entry["generate"]:
            if entry["root"]:
                raise ConfigError(
                    f"datasets.{name}.root has no meaning for a generated data set; remove it, or generate"
                )
            open_generator(entry["generate"], name=name)
        else:
            open_dataset(entry, Path(config["data_root"]), name=name)
    for name, entry in config["pretraining"]["objectives"].items():
        # The objectives are slow to import, and lightly is in the environment of those who train.
        if entry["options"] and find_spec("lightly"):
            from patchprobe.pretraining.objective import check_options

            check_options(name, entry["options"])
