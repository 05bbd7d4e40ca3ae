"""State dicts of PyTorch networks, and the detection of networks that are not supported.

The tensors of the Supervisely plugin and of pytorch-semseg have the same names; mmsegmentation's
and liminn's ICNet are other graphs.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from icstream.model.errors import CheckpointError
from icstream.model.foreign.pickles import UnsafeError, load_safely, strings_in
from icstream.model.foreign.report import listed

_SUBTREES = ("model_state", "state_dict")
"""The keys under which training loops store the state dict."""
_PARALLEL = "module."
"""The prefix that DataParallel adds to every name."""
_OURS = ("convbnrelu1_1.", "res_block2.", "cff_sub24.", "classification.")

_MMSEG = (
    "a checkpoint of mmsegmentation: its ICNet is another graph (its sub4 branch begins after"
    " layer2, its pyramid concatenates, each branch has a ReLU before the sums, and corners are"
    " not aligned), so that these weights would give wrong masks here"
)
_LIMINN = (
    "a checkpoint of liminn's ICNet-pytorch: it is another graph (two passes of a whole"
    " ResNet-50, fusion of its raw 512 and 2048 channels, heads without bias after the"
    " convolution), so that these weights would give wrong masks here"
)
_LOOKED_FOR = (
    "a state dict with names like convbnrelu1_1.cbr_unit.0.weight (the Supervisely plugin,"
    " pytorch-semseg), also under model_state or state_dict"
)


def read_state_dict(content: bytes) -> tuple[dict[str, Tensor], str]:
    """Return the tensors by name, and the key that held them ("" for none).

    Raises:
        CheckpointError: The file is damaged, of another network, or holds other objects.
    """
    try:
        saved = load_safely(content)
    except UnsafeError as error:
        refuse_other_graphs(strings_in(content))
        raise CheckpointError(
            "it holds Python objects besides tensors, which could run code and are not loaded;"
            " save its state dict alone, torch.save(checkpoint['model_state'], FILE)"
        ) from error
    state, key = _state_dict(saved)
    if state and all(name.startswith(_PARALLEL) for name in state):
        state = {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    refuse_other_graphs(state)
    if not any(name.startswith(_OURS) for name in state):
        found = f"; it has {listed(sorted(state))}" if state else ""
        raise CheckpointError(f"not recognized: looked for {_LOOKED_FOR}{found}")
    return state, key


def refuse_other_graphs(names: Iterable[str]) -> None:
    """Raise CheckpointError for the tensor names of a network that is not supported."""
    known = [name.removeprefix(_PARALLEL) for name in names]

    def some(*starts: str) -> bool:
        return any(name.startswith(starts) for name in known)

    if some("decode_head.") and some("backbone.", "neck."):
        raise CheckpointError(_MMSEG)
    if some("head.cff_") and some("pretrained.", "conv_sub1."):
        raise CheckpointError(_LIMINN)


def _state_dict(saved: Any) -> tuple[dict[str, Tensor], str]:
    """Return the tensors by name, and the key that held them."""
    if not isinstance(saved, Mapping):
        return {}, ""
    for key in _SUBTREES:
        if isinstance(saved.get(key), Mapping):
            return _tensors(saved[key]), key
    return _tensors(saved), ""


def _tensors(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
