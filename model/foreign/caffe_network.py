"""Conversion of the authors' `.caffemodel`, with or without batch norm."""

from collections.abc import Iterable

import torch
from torch import Tensor

from icstream.model.errors import CheckpointError
from icstream.model.foreign.caffe import Layer, read_layers
from icstream.model.foreign.caffe_names import (
    CLASSIFIER,
    DATA_SCALE,
    HEADS,
    NORM_SUFFIX,
    SHRINK,
    SUB1_INPUT,
    SUB2_INPUT,
    blob_name,
    caffe_name,
)
from icstream.model.foreign.matching import Foreign
from icstream.model.foreign.protobuf import ProtobufError
from icstream.model.geometry import Fit
from icstream.model.labels import CITYSCAPES

AUTHORS_SIZE = (1025, 2049)
"""The (height, width) to which the authors' evaluation resizes every image (eval_sub.m)."""


def is_caffemodel(content: bytes) -> bool:
    """Return whether the content is a message with layers, of any network."""
    try:
        return bool(read_layers(content))
    except ProtobufError:
        return False


def read_caffe_network(content: bytes) -> Foreign:
    """Return the network in a file, not yet matched with `ICNet`.

    Raises:
        CheckpointError: The file is damaged, or of another network.
    """
    try:
        layers = read_layers(content)
    except ProtobufError as error:
        raise CheckpointError(f"damaged, or not a caffemodel: {error}") from error
    blobs = _blobs(layers)
    if blob_name(SUB1_INPUT, 0) not in blobs and blob_name(CLASSIFIER, 0) not in blobs:
        raise CheckpointError(
            f"not recognized: a caffemodel without the layers {SUB1_INPUT} and {CLASSIFIER},"
            " so not the authors' ICNet"
        )
    use_batchnorm = any(layer.blobs and layer.name.endswith(NORM_SUFFIX) for layer in layers)
    folded = _fold_scale(blobs, layers)
    if use_batchnorm:
        folded |= _fold_biases(blobs)
    notes = _add_head_biases(blobs)
    classifier = blobs.get(blob_name(CLASSIFIER, 0))
    of_cityscapes = classifier is not None and tuple(classifier.shape[:1]) == (len(CITYSCAPES),)
    return Foreign(
        source=f"caffemodel {'with' if use_batchnorm else 'without'} batch norm",
        tensors=blobs,
        theirs=caffe_name,
        classifier=blob_name(CLASSIFIER, 0),
        variant="paper",
        use_batchnorm=use_batchnorm,
        fit=Fit("stretch", AUTHORS_SIZE),
        why_ignored=lambda _: "not in the network's graph",
        labels=CITYSCAPES if of_cityscapes else None,
        folded=folded,
        notes=tuple(notes),
    )


def _blobs(layers: Iterable[Layer]) -> dict[str, Tensor]:
    """Return the blobs by layer and number, with biases and the like as vectors."""
    blobs: dict[str, Tensor] = {}
    for layer in layers:
        for index, blob in enumerate(layer.blobs):
            name = blob_name(layer.name, index)
            if name in blobs:
                raise CheckpointError(f"two layers with the name {layer.name!r} have blobs")
            # Weights keep four dimensions; all other blobs are vectors, which older files store
            # with four.
            vector = index > 0 or layer.name.endswith(NORM_SUFFIX) or layer.name == DATA_SCALE
            flat = vector and blob.size == max(blob.shape, default=1)
            blobs[name] = torch.from_numpy(blob.reshape(-1) if flat else blob)
    return blobs


def _fold_scale(blobs: dict[str, Tensor], layers: Iterable[Layer]) -> dict[str, str]:
    """Multiply the image's scale into the convolutions that read it, and drop its blobs.

    In the authors' prototxt these are the first one of sub1 and, after a linear halving, that of
    the trunk; other wirings are followed as the file states them. The padding consists of zeros, so
    the result is exact.

    Raises:
        CheckpointError: The scale is not one number for each channel, or comes with an offset,
            which would change the padding.
    """
    scale_C = blobs.pop(blob_name(DATA_SCALE, 0), None)
    offset_C = blobs.pop(blob_name(DATA_SCALE, 1), None)
    if offset_C is not None and bool((offset_C != 0).any()):
        raise CheckpointError(f"{DATA_SCALE} adds an offset, which this network does not support")
    if scale_C is None:
        return {}
    if tuple(scale_C.shape) != (3,):
        raise CheckpointError(f"{DATA_SCALE} holds {scale_C.numel()} numbers; 3 are needed")
    inputs = next((layer.bottoms for layer in layers if layer.name == SHRINK), ())
    # Caffe extends the names of maps that several layers read.
    shared = not inputs or inputs[0].startswith(DATA_SCALE)
    seen_by = [SUB1_INPUT, SUB2_INPUT] if shared else [SUB1_INPUT]
    for layer in seen_by:
        weight = blobs.get(blob_name(layer, 0))
        if weight is not None and weight.dim() == 4 and weight.shape[1] == 3:
            blobs[blob_name(layer, 0)] = weight * scale_C.reshape(1, 3, 1, 1)
    values = ", ".join(f"{value:g}" for value in scale_C.tolist())
    return {blob_name(DATA_SCALE, 0): f"({values}) multiplied into {' and '.join(seen_by)}"}


def _fold_biases(blobs: dict[str, Tensor]) -> dict[str, str]:
    """Subtract biases before a batch norm from its mean, which is equivalent."""
    folded = {}
    for name in [name for name in blobs if name.endswith(f"{NORM_SUFFIX}:2")]:
        layer = name.removesuffix(f"{NORM_SUFFIX}:2")
        bias = blobs.get(blob_name(layer, 1))
        if bias is not None and bias.shape == blobs[name].shape:
            blobs[name] = blobs[name] - blobs.pop(blob_name(layer, 1))
            folded[blob_name(layer, 1)] = f"subtracted from the mean of {layer}{NORM_SUFFIX}"
    return folded


def _add_head_biases(blobs: dict[str, Tensor]) -> list[str]:
    """Add a bias of zeros to each head without one, and return a note for each."""
    notes = []
    for layer in sorted(HEADS):
        weight = blobs.get(blob_name(layer, 0))
        if weight is not None and weight.dim() == 4 and blob_name(layer, 1) not in blobs:
            blobs[blob_name(layer, 1)] = torch.zeros(weight.shape[0])
            notes.append(f"{layer} has no bias: zeros assumed")
    return notes
