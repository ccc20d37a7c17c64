"""UC Merced Land Use, 21 classes of aerial images (http://weegee.vision.ucmerced.edu/datasets/landuse.html).

Yang and Newsam: Bag-of-visual-words and spatial extensions for land-use classification, ACM GIS 2010,
doi:10.1145/1869790.1869829. Images are ``Images/<class>/<class><2 digits>.tif``, 100 of each class, a foot (0.3048 m) to a
pixel. 44 of the 2100 are not 256 x 256 px but up to 15 px less or more.
"""

from collections.abc import Mapping
from types import MappingProxyType

from patchprobe.datasets.image_classes import WHOLE, NamedImageClasses


class UCMerced(NamedImageClasses):
    """The classes that are there, of the 21 official ones."""

    official = (
        *("agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential"),
        *("forest", "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark"),
        *("overpass", "parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt"),
    )
    folder = "Images"
    pattern = r"[0-9]{2,}\.tif"
    named = "<class><2 digits>.tif"
    counts: Mapping[str, int] = MappingProxyType({WHOLE: 2100})


ADAPTER = UCMerced
ANNOTATIONS = ("image_classes",)
FOLDERS = ("Images",)
