"""torch tensors, with their gradients. In both processes; torch is never imported.

Only what a tensor offers publicly is used, so that its subclasses, ``Parameter`` first, are restored in place too.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.facets import Sight, SingleFacet, Swap, Turn

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


def reduce_tensor(tensor: Any, pickler: NamespacePickler) -> Any:
    """A leaf tensor as torch pickles it, and its gradient, which torch leaves out."""
    from ipytimeout.wire.ended import Refused

    if tensor.grad_fn is not None:
        raise Refused("a tensor that remembers how it was computed cannot leave its process; detach() it")
    function, args, *rest = tensor.__reduce_ex__(5)
    if tensor.grad is None:
        return function, args, *rest
    return function, args, (rest[0] if rest else None, tensor.grad), None, None, set_tensor_state


def set_tensor_state(tensor: Any, state: tuple[Any, Any]) -> None:
    own, gradient = state
    if own is not None:
        if hasattr(tensor, "__setstate__"):
            tensor.__setstate__(own)
        else:
            vars(tensor).update(own)
    tensor.grad = gradient


class Values(SingleFacet):
    """The values of a tensor, its gradient, and whether it wants one."""

    code = "tensor"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return sight.state_fingerprint(obj.detach()), obj.requires_grad, obj.grad

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = self.snapshot(obj, sight)
        if now[0] == before[0] and now[1] == before[1] and now[2] is before[2]:
            return None
        return obj.detach().clone(), obj.requires_grad, obj.grad

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = (obj.detach().clone(), obj.requires_grad, obj.grad)
        return Swap(functools.partial(_put, obj, delta), functools.partial(_put, obj, old), Turn.MIDDLE)


def _put(tensor: Any, state: tuple[Any, bool, Any]) -> None:
    values, requires_grad, gradient = state
    data = tensor.detach()
    if (data.shape, data.dtype, data.device) == (values.shape, values.dtype, values.device):
        data.copy_(values)  # into its own memory: views of it show that
    else:
        tensor.data = values
    if tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)
    tensor.grad = gradient
