"""How frames are put into messages and shared memory, and taken out again."""

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
"""Arrays that travel behind a message, in the order of its `Pixels` without offset."""


class SlotSpace:
    """Memory for what a worker makes of a frame: in the frame's slot as long as there is room.

    An array is made where `allocate` says and then only named to the next worker; nothing is
    copied between the two, and nothing is sent that was not allocated.
    """

    def __init__(self, memory: ArenaView | None) -> None:
        """Take the shared memory; None if arrays travel in messages."""
        self._memory = memory
        self._offset = self._stop = 0
        self._arrays: dict[Field, tuple[Pixels, NDArray[Any]]] = {}

    def begin(self, room: tuple[int, int]) -> None:
        """Move on to the next frame, for which there is this part of the shared memory."""
        self._offset, self._stop = room
        self._arrays.clear()

    def allocate(
        self, field: Field, shape: tuple[int, ...], dtype: DTypeLike
    ) -> tuple[Pixels, NDArray[Any]]:
        """Return where an array of the frame lies, and the array, which is undefined.

        What does not fit into the slot gets memory of its own, which travels with the message.
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
        """Return `allocate` for one field, in the form in which stages ask for memory."""
        return partial(self._allocate_array, field)

    def copy(self, field: Field, values: NDArray[Any]) -> None:
        """Copy an array that was made elsewhere."""
        _, array = self.allocate(field, values.shape, values.dtype)
        np.copyto(array, values)

    def __contains__(self, field: Field) -> bool:
        """Whether memory was allocated for that field of the frame."""
        return field in self._arrays

    def packed(self) -> tuple[tuple[Pixels, ...], Payload]:
        """Return where the arrays of the frame lie, and those that travel with the message."""
        pixels = tuple(pixels for pixels, _ in self._arrays.values())
        return pixels, [array for place, array in self._arrays.values() if place.offset is None]

    def _allocate_array(
        self, field: Field, shape: tuple[int, ...], dtype: type[np.uint8]
    ) -> NDArray[np.uint8]:
        return self.allocate(field, shape, dtype)[1]


def unpack_frame(frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None) -> Frame:
    """Return a frame for preprocess; its arrays lie where they came, nothing is copied.

    Raises:
        WireError: an array that is not there, or of another length than it should have.
    """
    arrays = _arrays(frame, payload, memory)
    return Frame(frame.meta, _image(frame, arrays), canvas=_canvas(arrays))


def unpack_prepared(
    frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None
) -> PreparedFrame:
    """Return a frame for segment; its arrays lie where they came, nothing is copied.

    Raises:
        StageError: the network's input is not there.
        WireError: an array that is not there, or of another length than it should have.
    """
    arrays = _arrays(frame, payload, memory)
    network_input = _canvas(arrays, "prepared" if "prepared" in arrays else "canvas")
    if frame.geometry is None or network_input is None:
        raise StageError("not prepared", f"frame {frame.meta.index} skipped preprocessing")
    return PreparedFrame(frame.meta, _image(frame, arrays), network_input, frame.geometry)


def unpack_scored(
    frame: WireFrame, payload: Sequence[zmq.Frame], memory: ArenaView | None
) -> ScoredFrame:
    """Return a frame for encode; its arrays lie where they came, nothing is copied.

    Raises:
        StageError: the scores are not there.
        WireError: an array that is not there, or of another length than it should have.
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
                raise WireError("an array in shared memory, and there is none")
            arrays[pixels.field] = memory.array(pixels)
            continue
        part = next(waiting, None)
        if part is None or len(part) != pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array did not come with its message")
        arrays[pixels.field] = pixels.view(part.buffer)
    return arrays


def _canvas(arrays: dict[Field, NDArray[Any]], field: Field = "canvas") -> NDArray[np.uint8] | None:
    """Return the (h, w, 3) view of planes, if they came."""
    planes = arrays.get(field)
    return None if planes is None else planes.transpose(1, 2, 0)


def _image(frame: WireFrame, arrays: dict[Field, NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Return the image, by itself or as the top left of its canvas; None if it did not come."""
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
    """Return what a message brought, by field.

    Raises:
        WireError: an array is not where it is said to be.
    """
    rest = iter(payload)
    received: dict[str, tuple[Pixels, zmq.Frame | None]] = {}
    for pixels in arrays:
        held = None
        if pixels.offset is None:
            held = next(rest, None)
            if held is None or len(held) != pixels.num_bytes:
                raise WireError(f"{pixels.field}: the array did not come with its message")
        elif not slot.start <= pixels.offset <= slot.stop - pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array lies outside its slot")
        received[pixels.field] = pixels, held
    return received
