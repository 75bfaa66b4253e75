"""``functools.lru_cache`` of the notebook's functions: what they remember travels with them. In both processes.

Nothing in the standard library tells or sets what such a function remembers. The garbage collector knows it; and it is
set as it came about: the function is called, with a stand-in for its code that gives the known results.

Law of the file: the code of the notebook's function is never run here.
"""

from __future__ import annotations

import functools
import gc
import sys
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from ipytimeout.wire.facets import Sight, SingleFacet, Swap

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: Calls with their results, from the oldest to the newest; how often one was found, and how often not.
State: TypeAlias = tuple[list[tuple[tuple[Any, ...], dict[str, Any], Any]], int, int]
#: More hits than this are not counted again, one by one.
_MOST_HITS = 1_000_000


def reduce_lru_cache(cached: Any, pickler: NamespacePickler) -> Any:
    if _is_importable(cached):
        return cached.__qualname__
    state = state_of(cached)
    if state is not None and not pickler.can_pickle(state):
        state = None  # its results stay, and are computed again
    args = (cached.__wrapped__, cached.cache_parameters())
    return make_lru_cache, args, (dict(cached.__dict__), state), None, None, set_lru_cache


def make_lru_cache(function: Callable[..., object], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def set_lru_cache(cached: Any, whole: tuple[dict[str, object], State | None]) -> None:
    attributes, state = whole
    vars(cached).update(attributes)
    if state is not None:
        put_state(cached, state)


def _is_importable(obj: Any) -> bool:
    """Whether a module that is no notebook has this very object under its name."""
    module = getattr(obj, "__module__", None)
    if module in (None, "__main__"):
        return False
    found: Any = sys.modules.get(module)
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj


# ---------------------------------------------------------------- read


def state_of(cached: Any) -> State | None:
    """Return what the function remembers; None where that cannot be told."""
    info, typed = cached.cache_info(), cached.cache_parameters()["typed"]
    if type(_function_of(cached)) is not types.FunctionType:
        return None
    entries = [(*_call_of(key, typed), result) for key, result in _entries(cached)]
    return (entries, info.hits, info.misses) if len(entries) == info.currsize else None


def _referents(cached: Any) -> list[Any]:
    return [inner for inner in gc.get_referents(cached) if inner is not type(cached)]


def _entries(cached: Any) -> Iterator[tuple[Any, Any]]:
    """Yield keys and results. Without a limit they are in a dict; else key, result and the class of the link."""
    inner = _referents(cached)
    if cached.cache_info().maxsize is None:
        yield from next(each for each in inner if type(each) is dict).items()
        return
    for i in range(0, len(inner) - 2, 3):
        if not _is_link(inner[i + 2]):
            return
        yield inner[i], inner[i + 1]


def _is_link(obj: Any) -> bool:
    return isinstance(obj, type) and obj.__name__ == "_lru_list_elem"


def _function_of(cached: Any) -> Any:
    """Return the function that is called, which need not be ``__wrapped__`` any more."""
    inner = _referents(cached)
    start = 0
    while start + 2 < len(inner) and _is_link(inner[start + 2]):
        start += 3
    return inner[start + 1] if start + 1 < len(inner) else None


def _call_of(key: Any, typed: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that a key was made from (``lru_cache_make_key`` of CPython's ``_functoolsmodule.c``)."""
    if type(key) is not tuple:
        return (key,), {}
    mark = next((i for i, part in enumerate(key) if part is _MARK), None)
    if mark is None:
        return (key[: len(key) // 2] if typed else key), {}
    rest = key[mark + 1 :]
    pairs = (len(rest) - mark) // 3 if typed else len(rest) // 2
    return key[:mark], dict(zip(rest[: 2 * pairs : 2], rest[1 : 2 * pairs : 2], strict=True))


def _mark() -> Any:
    """Return what stands between positional and keyword arguments in a key."""
    cached: Any = functools.lru_cache(maxsize=None)(dict)
    cached(a=1)
    ((key, _),) = _entries(cached)
    return key[0]


_MARK = _mark()


# ---------------------------------------------------------------- set


def put_state(cached: Any, state: State) -> None:
    """Make the function remember just this."""
    entries, hits, misses = state
    function = _function_of(cached)
    own = function.__code__, function.__defaults__, function.__kwdefaults__
    cached.cache_clear()
    results = iter([result for _, _, result in entries])
    try:
        function.__code__ = _stand_in(len(function.__closure__ or ()))
        function.__defaults__, function.__kwdefaults__ = None, {_RESULTS: results}
        for args, kwargs, _ in entries:
            cached(*args, **kwargs)
        for _ in range(misses - len(entries)):  # those that raised, or that were forgotten since
            _call_in_vain(cached)
        for _ in range(min(hits, _MOST_HITS) if entries else 0):
            cached(*entries[-1][0], **entries[-1][1])
    except Exception:  # a key whose hash fails here: then it is computed again
        cached.cache_clear()
    finally:
        function.__code__, function.__defaults__, function.__kwdefaults__ = own


_RESULTS = "__results_that_are_known"


def _call_in_vain(cached: Any) -> None:
    try:
        cached(_MARK, _MARK)
    except StopIteration:
        return


@functools.cache
def _stand_in(cells: int) -> types.CodeType:
    """Return code with so many free variables, which gives one known result after the other."""
    names = [f"cell{i}" for i in range(cells)]
    text = "def outer():\n" + "".join(f"    {name} = None\n" for name in names)
    text += f"    def function(*args, {_RESULTS}, **kwargs):\n        return next({_RESULTS})\n"
    text += "".join(f"        {name}\n" for name in names) + "    return function\n"
    made: dict[str, Any] = {}
    exec(text, made)
    code: types.CodeType = made["outer"]().__code__
    return code


class Remembered(SingleFacet):
    """What a function with a cache remembers. Where nothing was asked, nothing is new."""

    code = "cache"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return None if _is_importable(obj) else obj.cache_info()

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return None if before is None or obj.cache_info() == before else state_of(obj)

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = state_of(obj)
        undo = functools.partial(put_state, obj, old) if old is not None else obj.cache_clear
        return Swap(functools.partial(put_state, obj, delta), undo)
