"""How frames are put into messages and shared memory, and taken out again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from icstream.model import Scores
from icstream.pipeline.wire.messages import (
    DType,
    Field,
    Pixels,
    Slot,
    WireError,
    WireFrame,
)
from icstream.pipeline.wire.shared_memory import ArenaView, align
from icstream.stages import Frame
from icstream.stages.items import Prepared

_DTYPES: dict[np.dtype[Any], DType] = {
    np.dtype(np.uint8): "uint8",
    np.dtype(np.float32): "float32",
}


class SlotSpace:
    """The place in shared memory for what a stage makes of the frame that it has."""

    def __init__(self, memory: ArenaView | None) -> None:
        self._memory = memory
        self._range = (0, 0)

    def begin(self, room: tuple[int, int]) -> None:
        """Moves on to the next frame's."""
        self._range = room

    def empty(self, shape: tuple[int, ...], dtype: type[np.uint8]) -> NDArray[np.uint8]:
        """Gives memory for the first array that is made, where `pack` would put it if it can be.

        Made there, it need not be copied.
        """
        pixels = Pixels("canvas", "uint8", shape, align(self._range[0]))
        assert pixels.offset is not None
        if self._memory is None or pixels.offset + pixels.num_bytes > self._range[1]:
            return np.empty(shape, dtype)
        return self._memory.array(pixels)


def pack(
    arrays: Mapping[Field, NDArray[Any]], room: tuple[int, int], memory: ArenaView | None
) -> tuple[tuple[Pixels, ...], list[NDArray[Any]]]:
    """Puts arrays into shared memory, as far as they fit; gives their places and the rest.

    The rest is copied: sockets send it later, when the network may be writing its next scores.
    """
    places, payload = [], []
    offset, stop = room
    for field, values in arrays.items():
        offset = align(offset)
        fits = memory is not None and offset + values.nbytes <= stop
        dtype = _DTYPES[values.dtype]
        pixels = Pixels(field, dtype, values.shape, offset if fits else None)
        if fits:
            assert memory is not None
            memory.put(pixels, values)
            offset += values.nbytes
        else:
            payload.append(np.array(values, order="C"))
        places.append(pixels)
    return tuple(places), payload


def unpack(frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None) -> Frame:
    """Gives the frame with its arrays, which lie where they came; nothing is copied.

    Raises:
        WireError: an array that is not there, or of another length than it should have.
    """
    waiting = iter(payload)
    arrays: dict[str, NDArray[Any]] = {}
    for pixels in frame.arrays:
        if pixels.offset is not None:
            if memory is None:
                raise WireError("an array in shared memory, and there is none")
            arrays[pixels.field] = memory.array(pixels)
            continue
        part = next(waiting, None)
        if part is None or len(part) != pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array did not come with its message")
        arrays[pixels.field] = pixels.view(part.buffer)
    image, canvas, prepared, scores = arrays.get("image"), None, None, None
    if "canvas" in arrays:
        height, width = frame.meta.size
        canvas = arrays["canvas"].transpose(1, 2, 0)
        image = canvas[:height, :width]
        if image.shape[:2] != frame.meta.size:
            raise WireError(f"canvas: {canvas.shape}, too small for {frame.meta.size}")
    if frame.geometry is not None:
        if "scores" in arrays:
            scores = Scores(arrays["scores"], frame.geometry)
        elif "prepared" in arrays:
            prepared = Prepared(arrays["prepared"].transpose(1, 2, 0), frame.geometry)
        elif canvas is not None:
            prepared = Prepared(canvas, frame.geometry)
    return Frame(frame.meta, image, prepared, scores, canvas)


def received_arrays(
    slot: Slot, arrays: tuple[Pixels, ...], payload: list[zmq.Frame]
) -> dict[str, tuple[Pixels, zmq.Frame | None]]:
    """Gives what a message brought, by field.

    Raises:
        WireError: an array is not where it is said to be.
    """
    rest = iter(payload)
    found: dict[str, tuple[Pixels, zmq.Frame | None]] = {}
    for pixels in arrays:
        held = None
        if pixels.offset is None:
            held = next(rest, None)
            if held is None or len(held) != pixels.num_bytes:
                raise WireError(f"{pixels.field}: the array did not come with its message")
        elif not slot.start <= pixels.offset <= slot.stop - pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array lies outside its slot")
        found[pixels.field] = pixels, held
    return found
