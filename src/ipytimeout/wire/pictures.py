"""PIL: pictures, which change in place, and what draws into them. In both processes; PIL is not imported.

A picture and its ``ImageDraw`` share memory that only C knows: pixels are put into it, and it is never replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: What a drawing has of its picture.
_OF_PICTURE = frozenset(("_image", "im", "draw", "mode", "palette"))


def state_of(picture: Any) -> Any:
    """Return what a picture is: its information, mode, size, palette and pixels, and the name of its file."""
    return list(picture.__getstate__())


def put_state(picture: Any, state: Any) -> None:
    """Put pixels into the memory that the picture has, when they fit into it."""
    info, mode, size, palette, data, *_ = state
    if (picture.mode, picture.size) != (mode, size) or palette:
        picture.__setstate__(state)
    else:
        picture.info = info
        picture.frombytes(data)


def reduce_draw(draw: Any, pickler: NamespacePickler) -> Any:
    """What draws into a picture, into that very one."""
    own = {name: value for name, value in vars(draw).items() if name not in _OF_PICTURE}
    return make_draw, (type(draw), draw._image, draw.mode), own


def make_draw(cls: type, picture: Any, mode: str) -> Any:
    return cls(picture) if mode == picture.mode else cls(picture, mode)
