"""NWPU-RESISC45, 45 classes of satellite and aerial scenes.

Cheng, Han and Lu: Remote sensing image scene classification: benchmark and state of the art, Proceedings of the IEEE 105
(2017), doi:10.1109/JPROC.2017.2675998. Images are ``<class>/<class>_<3 digits>.jpg``, 700 of each class, 256 x 256 px of 0.2 to
30 m; of no image the release says how many.
"""

from collections.abc import Mapping
from types import MappingProxyType

from patchprobe.datasets.image_classes import WHOLE, NamedImageClasses


class RESISC45(NamedImageClasses):
    """The classes that are there, of the 45 official ones."""

    official = (
        *("airplane", "airport", "baseball_diamond", "basketball_court", "beach", "bridge", "chaparral", "church"),
        *("circular_farmland", "cloud", "commercial_area", "dense_residential", "desert", "forest", "freeway"),
        *("golf_course", "ground_track_field", "harbor", "industrial_area", "intersection", "island", "lake", "meadow"),
        *("medium_residential", "mobile_home_park", "mountain", "overpass", "palace", "parking_lot", "railway"),
        *("railway_station", "rectangular_farmland", "river", "roundabout", "runway", "sea_ice", "ship", "snowberg"),
        *("sparse_residential", "stadium", "storage_tank", "tennis_court", "terrace", "thermal_power_station"),
        "wetland",
    )
    folder = ""
    pattern = r"_[0-9]{3}\.jpg"
    named = "<class>_<3 digits>.jpg"
    counts: Mapping[str, int] = MappingProxyType({WHOLE: 31500})


ADAPTER = RESISC45
ANNOTATIONS = ("image_classes",)
