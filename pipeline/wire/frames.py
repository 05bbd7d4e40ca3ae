"""Conversion of frames to and from messages and shared memory."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import zmq
from numpy.typing import DTypeLike, NDArray

from icstream.model import Scores, StageError
from icstream.model.planar import Empty
from icstream.pipeline.wire.messages import (
    DType,
    Field,
    Pixels,
    Slot,
    WireError,
    WireFrame,
)
from icstream.pipeline.wire.shared_memory import ArenaView, align
from icstream.stages import Frame, PreparedFrame, ScoredFrame

_DTYPES: dict[np.dtype[Any], DType] = {
    np.dtype(np.uint8): "uint8",
    np.dtype(np.float32): "float32",
}

Payload: TypeAlias = list[NDArray[Any]]
"""Arrays that follow a message, in the order of its `Pixels` without offset."""


class SlotSpace:
    """Memory for a worker's results of a frame, in the frame's slot while there is room.

    An array is created by `allocate` and then only referenced in the message to the next worker:
    nothing is copied, and only allocated arrays are sent.
    """

    def __init__(self, memory: ArenaView | None) -> None:
        """Use the shared memory, or None if arrays travel in messages."""
        self._memory = memory
        self._offset = self._stop = 0
        self._arrays: dict[Field, tuple[Pixels, NDArray[Any]]] = {}

    def begin(self, room: tuple[int, int]) -> None:
        """Start the next frame, with its half-open range of the shared memory."""
        self._offset, self._stop = room
        self._arrays.clear()

    def allocate(
        self, field: Field, shape: tuple[int, ...], dtype: DTypeLike
    ) -> tuple[Pixels, NDArray[Any]]:
        """Return the location of a new array of the frame, and the uninitialized array.

        An array that does not fit into the slot gets separate memory and travels with the message.
        """
        offset = align(self._offset)
        pixels = Pixels(field, _DTYPES[np.dtype(dtype)], shape, offset)
        if self._memory is None or offset + pixels.num_bytes > self._stop:
            pixels, array = Pixels(field, pixels.dtype, shape, None), np.empty(shape, dtype)
        else:
            array = self._memory.array(pixels)
            self._offset = offset + pixels.num_bytes
        self._arrays[field] = pixels, array
        return pixels, array

    def allocator(self, field: Field) -> Empty:
        """Return `allocate` for one field, in the form that stages use to get memory."""
        return partial(self._allocate_array, field)

    def copy(self, field: Field, values: NDArray[Any]) -> None:
        """Copy an array that was created elsewhere."""
        _, array = self.allocate(field, values.shape, values.dtype)
        np.copyto(array, values)

    def __contains__(self, field: Field) -> bool:
        """Return whether an array was allocated for that field of the frame."""
        return field in self._arrays

    def packed(self) -> tuple[tuple[Pixels, ...], Payload]:
        """Return the locations of the arrays, and the arrays that travel with the message."""
        pixels = tuple(pixels for pixels, _ in self._arrays.values())
        return pixels, [array for place, array in self._arrays.values() if place.offset is None]

    def _allocate_array(
        self, field: Field, shape: tuple[int, ...], dtype: type[np.uint8]
    ) -> NDArray[np.uint8]:
        return self.allocate(field, shape, dtype)[1]


def unpack_frame(frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None) -> Frame:
    """Return a frame for preprocess, without copying its arrays.

    Raises:
        WireError: an array is missing, or has the wrong length.
    """
    arrays = _arrays(frame, payload, memory)
    return Frame(frame.meta, _image(frame, arrays), canvas=_canvas(arrays))


def unpack_prepared(
    frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None
) -> PreparedFrame:
    """Return a frame for segment, without copying its arrays.

    Raises:
        StageError: the network's input is missing.
        WireError: an array is missing, or has the wrong length.
    """
    arrays = _arrays(frame, payload, memory)
    network_input = _canvas(arrays, "prepared" if "prepared" in arrays else "canvas")
    if frame.geometry is None or network_input is None:
        raise StageError("not prepared", f"frame {frame.meta.index} skipped preprocessing")
    return PreparedFrame(frame.meta, _image(frame, arrays), network_input, frame.geometry)


def unpack_scored(
    frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None
) -> ScoredFrame:
    """Return a frame for encode, without copying its arrays.

    Raises:
        StageError: the scores are missing.
        WireError: an array is missing, or has the wrong length.
    """
    arrays = _arrays(frame, payload, memory)
    if frame.geometry is None or "scores" not in arrays:
        raise StageError("no result", f"frame {frame.meta.index} was not segmented")
    scores = Scores(arrays["scores"], frame.geometry)
    return ScoredFrame(frame.meta, _image(frame, arrays), scores)


def _arrays(
    frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None
) -> dict[Field, NDArray[Any]]:
    waiting = iter(payload)
    arrays: dict[Field, NDArray[Any]] = {}
    for pixels in frame.arrays:
        if pixels.offset is not None:
            if memory is None:
                raise WireError("an array in shared memory, but there is no shared memory")
            arrays[pixels.field] = memory.array(pixels)
            continue
        part = next(waiting, None)
        if part is None or len(part) != pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array is missing from its message")
        arrays[pixels.field] = pixels.view(part.buffer)
    return arrays


def _canvas(arrays: dict[Field, NDArray[Any]], field: Field = "canvas") -> NDArray[np.uint8] | None:
    """Return the (h, w, 3) view of planes, or None if they are absent."""
    planes = arrays.get(field)
    return None if planes is None else planes.transpose(1, 2, 0)


def _image(frame: WireFrame, arrays: dict[Field, NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Return the image, by itself or as the top left of its canvas, or None if it is absent."""
    canvas = _canvas(arrays)
    if canvas is None:
        return arrays.get("image")
    height, width = frame.meta.size
    image = canvas[:height, :width]
    if image.shape[:2] != frame.meta.size:
        raise WireError(f"canvas: {canvas.shape}, too small for {frame.meta.size}")
    return image


def received_arrays(
    slot: Slot, arrays: tuple[Pixels, ...], payload: list[zmq.Frame]
) -> dict[str, tuple[Pixels, zmq.Frame | None]]:
    """Return the arrays of a message, by field.

    Raises:
        WireError: an array is missing, or lies outside its slot.
    """
    rest = iter(payload)
    received: dict[str, tuple[Pixels, zmq.Frame | None]] = {}
    for pixels in arrays:
        held = None
        if pixels.offset is None:
            held = next(rest, None)
            if held is None or len(held) != pixels.num_bytes:
                raise WireError(f"{pixels.field}: the array is missing from its message")
        elif not slot.start <= pixels.offset <= slot.stop - pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array lies outside its slot")
        received[pixels.field] = pixels, held
    return received
