"""Label ids of Cityscapes that street scenes use."""

from patchprobe.datasets.demo.scene import Tag

# Names and ids of cityscapesscripts/helpers/labels.py.
LABEL_NAMES = (
    *("unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground"),
    *("road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel"),
    *("pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider"),
    *("car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle"),
)


def _stuff(name: str) -> Tag:
    label_id = LABEL_NAMES.index(name)
    return Tag(label_id, label_id)


EGO_VEHICLE = _stuff("ego vehicle")
STATIC = _stuff("static")
DYNAMIC = _stuff("dynamic")
GROUND = _stuff("ground")
ROAD = _stuff("road")
SIDEWALK = _stuff("sidewalk")
PARKING = _stuff("parking")
BUILDING = _stuff("building")
WALL = _stuff("wall")
FENCE = _stuff("fence")
POLE = _stuff("pole")
TRAFFIC_LIGHT = _stuff("traffic light")
TRAFFIC_SIGN = _stuff("traffic sign")
VEGETATION = _stuff("vegetation")
TERRAIN = _stuff("terrain")
SKY = _stuff("sky")


class Instances:
    """Numbers countable things in the order of their creation, as 1000 * label id + n."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def tag(self, name: str) -> Tag:
        """Return the tag of a new thing."""
        label_id = LABEL_NAMES.index(name)
        number = self._next.get(label_id, 0)
        self._next[label_id] = number + 1
        return Tag(label_id, 1000 * label_id + number)
