"""Reading label maps: the class ids that a file means, or a refusal where it could mean others.

A map of few ids comes in forms that show the same picture and hold other numbers: 8 bits of grey, fewer bits (whose
numbers a viewer spreads over black to white), a palette. Programs that write ids keep the numbers and not the picture;
optimisers of PNG files keep the picture and not the numbers. So ids are taken by what a data set's ids can be, and a file
that fits both ways is refused. Bit depths, palettes and their scaling: PNG specification (third edition), sections 11.2.1,
11.2.2 and 13.12.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from patchprobe.datasets.pictures import Header, Notice, Source, decoded, header_of, turned
from patchprobe.errors import DataError

Ids = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

# More frames than one, or values that a lossy compression has moved, are no label map.
_LOSSY = ("JPEG", "WEBP")
_LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")
_RELEASE = "use the label maps of the release"


def read_ids(
    path: Source,
    *,
    known: Collection[int] | None = None,
    colors: Mapping[Color, int] | None = None,
    notice: Notice | None = None,
    most: int = 255,
    remedy: str = _RELEASE,
) -> npt.NDArray[Any]:
    """Decode a label map completely: one id per pixel, uint8 (height, width), or uint16 where ids may be above 255.

    ``known`` are the ids that maps of the data set can hold, ``colors`` the ids of its official colours, RGB. ``notice``
    hears the kind and text of what has to be said once per data set. ``most`` is the highest id of maps in 16 bits, and
    ``remedy`` what to do about a map whose numbers are no ids. Raises DataError if the file is missing, broken,
    lossy, has several channels or frames or ids above ``most``, and where its values could be read in two ways.
    """
    with decoded(path) as image:
        header = header_of(image, path)
        _refuse_changed(path, image, header)
        pixels = np.array(image)
        if image.mode == "P":
            return _of_palette(path, pixels, _palette(path, image, pixels), known, colors, notice, remedy)
        if image.mode == "1" or (image.mode == "L" and header.bits < 8):
            return _of_few_bits(path, pixels, header.bits, known, remedy)
        if image.mode in ("I;16", "I;16B", "I;16L", "I"):
            low, high = int(pixels.min(initial=0)), int(pixels.max(initial=0))
            if low < 0 or high > most:
                raise DataError(
                    f"label map {path} has 16 bits and holds {low if low < 0 else high}: ids are 0 to {most}; save ids in "
                    f"{8 if most <= 255 else 16} bits"
                )
            return pixels.astype(np.uint8 if most <= 255 else np.uint16)
        if image.mode != "L":
            raise DataError(
                f"label map {path} has pixel format {image.mode!r}; it must hold one 8-bit class id per pixel: replace "
                "colours by the ids of their classes, in one channel"
            )
        return np.asarray(pixels, np.uint8)


def read_colors(path: Source) -> Ids:
    """Decode a label map whose classes are colours: uint8 (height, width, 3), RGB, the colours that it shows.

    Raises DataError as :func:`read_ids`, for pixels that are transparent, whose colour nobody sees, and for 16 bits per channel.
    """
    with decoded(path) as image:
        header = header_of(image, path)
        _refuse_changed(path, image, header)
        if header.bits > 8 or image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            found = f"{header.bits} bits per channel" if header.bits > 8 else f"pixel format {image.mode!r}"
            raise DataError(f"label map {path} has {found}, and classes are colours: save it as 8-bit RGB, in PNG")
        if image.mode == "P":
            _palette(path, image, np.array(image))
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            shown = np.array(image.convert("RGBA"))
            if hidden := int((shown[..., 3] < 255).sum()):
                raise DataError(
                    f"label map {path} is transparent at {hidden} pixels, so that their colour is not what is seen: save it "
                    "without transparency, as RGB"
                )
            return np.ascontiguousarray(shown[..., :3])
        return np.array(image.convert("RGB"))


def _refuse_changed(path: Source, image: Image.Image, header: Header) -> None:
    """Raise DataError for what cannot be a label map, or one whose values changed when it was saved."""
    lossy = image.format if image.format in _LOSSY else ""
    if image.format == "TIFF" and image.info.get("compression") in _LOSSY_IN_TIFF:
        lossy = f"TIFF with {image.info['compression']} compression"
    if lossy:
        raise DataError(f"label map {path} is a {lossy}, in which ids change or can: save it as PNG")
    if header.frames > 1:
        raise DataError(f"label map {path} holds {header.frames} pictures: save the right one as PNG")
    if header.orientation != 1:
        raise DataError(f"label map {path} {turned(header.orientation)}: save it as PNG, without an orientation")
    if header.signed:
        raise DataError(
            f"label map {path} holds numbers with a sign or a point (TIFF SampleFormat): save ids in 8 bits"
        )
    if header.white_is_zero:
        raise DataError(f"label map {path} counts down from white (TIFF PhotometricInterpretation 0): save it as PNG")


def _palette(path: Source, image: Image.Image, indices: Ids) -> Ids:
    """Return the colours of a palette, uint8 (entries, 3)."""
    table = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    if indices.max(initial=0) >= len(table):
        raise DataError(f"label map {path} has {len(table)} colours and names colour {indices.max()}: restore the file")
    return table


def _of_palette(
    path: Source,
    indices: Ids,
    table: Ids,
    known: Collection[int] | None,
    colors: Mapping[Color, int] | None,
    notice: Notice | None,
    remedy: str,
) -> Ids:
    """Return the ids of a map with a palette: the indices, or the greys that an optimiser keeps in place of them."""
    used = np.unique(indices)
    coloured = bool((table != table[:, :1]).any())
    official = {
        int(i): (colors or {}).get((int(r), int(g), int(b))) for i, (r, g, b) in zip(used, table[used], strict=True)
    }
    by_color = {number: found for number, found in official.items() if found is not None} if coloured else {}
    if wrong := {number: found for number, found in by_color.items() if number != found}:
        raise DataError(
            f"label map {path} shows the official colours of ids {_few(list(wrong.values()))}, and its palette numbers them "
            f"{_few(list(wrong))}: a program has put the palette in another order; save the ids as grey values"
        )
    greys = table[:, 0]
    if (table[used] != table[used][:, :1]).any() or np.array_equal(greys[used], used) or by_color:
        return indices
    shown, fits = greys[used], _fits(known)
    if coloured and fits(shown) and fits(used):
        raise DataError(
            f"label map {path} uses only greys of a palette with colours, which could be ids ({_few(shown)}) or not "
            f"({_few(used)}): save the ids as 8-bit grey values"
        )
    if fits(shown) and fits(used) and set(shown.tolist()) <= {0, 255}:
        raise DataError(
            f"label map {path} is black and white: it holds ids 0 and 255, or {_few(used)} shown as these; save the ids as "
            "8-bit grey values"
        )
    if fits(shown):
        if notice:
            notice(
                "palette",
                f"label map {path} has a palette of greys: it is read as the greys that it shows, as optimisers of PNG files "
                "write ids, and not as the numbers of its colours",
            )
        return np.asarray(greys[indices], np.uint8)
    if fits(used):
        return indices
    raise DataError(
        f"label map {path} has a palette of greys {_few(shown)} with numbers {_few(used)}, and the data set has neither as "
        f"ids: {remedy}"
    )


def _of_few_bits(
    path: Source, pixels: npt.NDArray[np.generic], bits: int, known: Collection[int] | None, remedy: str
) -> Ids:
    """Return the ids of a grey map of less than 8 bits: the numbers in it, or the greys that they show."""
    step = 255 // (2**bits - 1)
    # Pillow gives a single bit as false and true, and others as they show.
    shown = pixels.astype(np.uint8) * (255 if pixels.dtype == np.bool_ else 1)
    stored = np.asarray(shown // step, np.uint8)
    fits = _fits(known)
    as_stored, as_shown = fits(np.unique(stored)), fits(np.unique(shown))
    if not shown.any() or (as_stored and not as_shown):
        return stored
    if as_shown and not as_stored:
        return np.asarray(shown, np.uint8)
    if as_stored:
        raise DataError(
            f"label map {path} has {bits} bits per pixel: it holds ids {_few(np.unique(stored))}, or an optimiser of PNG files "
            f"has packed {_few(np.unique(shown))} into them; save the ids as 8-bit grey values"
        )
    raise DataError(
        f"label map {path} has {bits} bits per pixel with values {_few(np.unique(stored))}, shown as "
        f"{_few(np.unique(shown))}, and the data set has neither as ids: {remedy}"
    )


def _fits(known: Collection[int] | None) -> Callable[[npt.NDArray[np.uint8]], bool]:
    return lambda values: known is None or set(values.tolist()) <= set(known)


def _few(values: Collection[object]) -> str:
    texts = [str(value) for value in list(values)[:5]]
    return ", ".join(texts) + (" ..." if len(values) > 5 else "")
