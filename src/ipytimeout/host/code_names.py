"""Which names a piece of code mentions. In the user's process, main thread; pure.

Code is read from its bytecode: what it loads by a global name, and every word in its string constants. The latter finds
``%timeit f(x)``, ``!echo {x}``, ``df.query("@x")`` and the bodies of cell magics, which are strings when they run. Text
that is no code then, as a comment, is not read. A name that the code stores before it can load it is not needed.

Law of the file: nothing is executed, and no state of the interpreter changes. Code that may use names it does not
mention (``globals()``, ``eval``, ``%who`` …) is called *dynamic*.
"""

from __future__ import annotations

import ast
import dis
import inspect
import re
import types
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ipytimeout.host.look import words
from ipytimeout.wire.streams import warnings_held


@dataclass(frozen=True, slots=True)
class CodeNames:
    """What a piece of code mentions, whether or not the namespace has it."""

    names: frozenset[str]
    #: Whether the code may use names that it does not mention.
    dynamic: bool
    #: Modules that it imports.
    imports: frozenset[str] = frozenset()


_WORD = re.compile(r"[^\W\d]\w*")
#: No string is read further than this.
_MOST_TEXT = 1_000_000

#: Loaded as functions, these reach names that the code does not mention …
_REACH_ALL = frozenset({"globals", "eval", "exec", "breakpoint"})
#: … and these when they are called without an argument, outside of a function.
_REACH_SCOPE = frozenset({"locals", "vars", "dir"})
#: Modules that look up names of ``__main__``: tests by their prefix, classes of what is unpickled.
REACH_MODULES = words("pickle _pickle dill cloudpickle joblib shelve unittest doctest pytest ipytest pdb __main__")
_REACH_ATTRIBUTES = words(
    "_getframe currentframe f_globals f_locals __globals__ __main__ user_ns user_global_ns user_module "
    "read_pickle set_trace testmod"
)
#: What IPython's transformation of magics calls on the shell.
_MAGIC_CALLS = words("run_line_magic run_cell_magic system getoutput set_next_input")
_SHELL_NAMESPACE = words("ev ex run_cell run_cell_async run_code push magic all_ns_refs")
_REACH_MAGICS = words("run who whos who_ls store macro rerun reset reset_selective xdel psearch recall load edit debug")
_REACH_TEXT = re.compile(
    r"(?<![\w.])(?:globals|eval|exec|breakpoint)\s*\(|(?<![\w.])(?:locals|vars|dir)\s*\(\s*\)"
    rf"|(?<![\w.])(?:{'|'.join(REACH_MODULES)})\b|\b(?:{'|'.join(_REACH_ATTRIBUTES)}|get_ipython)\b"
    rf"|^\s*%%?(?:{'|'.join(_REACH_MAGICS)})\b|\bimport\s+\*",
    re.MULTILINE,
)

_NAMES = "<names of a cell>"
#: The warnings of our own compilation: those of other threads pass.
_OURS = re.compile(re.escape(_NAMES))


def names_of_code(code: str, transform: Callable[[str], str]) -> CodeNames:
    """Find the names that a cell mentions.

    Parameters
    ----------
    code
        The cell as it was written.
    transform
        Makes Python of it, as ``InteractiveShell.transform_cell`` does.

    A cell that is no Python mentions nothing: the child shows its error, as natively.
    """
    try:
        with warnings_held(_OURS):  # the child gives them
            compiled = compile(transform(code), _NAMES, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except Exception:  # a transformer of the user may raise anything
        return CodeNames(frozenset(), dynamic=False)
    return read_code(compiled)


def read_code(code: types.CodeType, docstring: str | None = None) -> CodeNames:
    """Read a code object and those inside it. Its ``docstring`` is no text that the code uses."""
    names: set[str] = set()
    imports: set[str] = set()
    dynamic = False
    for part in _parts(code):
        scan = _scan(part)
        texts = [text for text in _texts(part.co_consts, scan.not_text) if text is not docstring]
        for text in texts:
            names.update(words_of(text))
        names |= scan.loaded - scan.stored_first if part is code else scan.loaded
        imports |= scan.imports
        names |= scan.deleted  # the child can only report as deleted what it had
        dynamic = dynamic or _is_dynamic(part, scan, texts)
    return CodeNames(frozenset(names), dynamic, frozenset(imports))


def _parts(code: types.CodeType) -> Iterator[types.CodeType]:
    todo = [code]
    while todo:
        yield (part := todo.pop())
        todo.extend(const for const in part.co_consts if type(const) is types.CodeType)


def words_of(text: str) -> list[str]:
    text = text[:_MOST_TEXT]
    # Python normalises identifiers so.
    return _WORD.findall(text if text.isascii() else unicodedata.normalize("NFKC", text))


def _texts(constants: Iterable[object], without: Collection[int]) -> Iterator[str]:
    for constant in constants:
        if type(constant) is str:
            yield constant
        elif type(constant) in (tuple, frozenset) and id(constant) not in without:
            yield from _texts(constant, ())  # type: ignore[arg-type]


def _opcodes(*names: str) -> frozenset[int]:
    return frozenset(dis.opmap[name] for name in names if name in dis.opmap)


# The opcodes of CPython 3.11 to 3.14. An unknown one only makes the answer less exact.
_EXTENDED_ARG, _LOAD_GLOBAL, _LOAD_CONST = (dis.opmap[n] for n in ("EXTENDED_ARG", "LOAD_GLOBAL", "LOAD_CONST"))
_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_DELETES = _opcodes("DELETE_NAME", "DELETE_GLOBAL")
_LOADS = _opcodes("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS") | _DELETES
_STORES = _opcodes("STORE_NAME", "STORE_GLOBAL")
_NOTHING = _opcodes("CACHE", "PUSH_NULL", "PRECALL", "NOP", "EXTENDED_ARG")
_PUSHES = frozenset(op for name, op in dis.opmap.items() if name.startswith("LOAD_"))
#: Their operand is a tuple of names: of keyword arguments, or of what is imported.
_KW_NAMES, _TAKE_NAMES = _opcodes("KW_NAMES"), _opcodes("CALL_KW", "IMPORT_NAME")
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])
_READ = _LOADS | _STORES | _KW_NAMES | _TAKE_NAMES | _JUMPS | {_EXTENDED_ARG, _LOAD_CONST}


@dataclass(slots=True)
class _Scan:
    """What the instructions of one code object do with global names."""

    loaded: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    #: Stored before they are loaded, whatever happens.
    stored_first: set[str] = field(default_factory=set)
    #: Modules that are imported, by their full names.
    imports: set[str] = field(default_factory=set)
    #: Modules that something is imported from.
    imported_from: set[str] = field(default_factory=set)
    #: The ``id`` of constants that are names of keyword arguments and of imports.
    not_text: set[int] = field(default_factory=set)
    #: Whether ``locals``, ``vars`` or ``dir`` is used otherwise than with an argument.
    scope: bool = False


def _scan(code: types.CodeType) -> _Scan:
    """Read one code object, without those inside it.

    A name stored in the straight run of instructions from the start, up to the first jump or ``try``, before it is
    loaded there, is stored before any load that follows. ``df = read(); df.head()`` needs no old ``df``.
    """
    scan = _Scan()
    names, constants, bytecode = code.co_names, code.co_consts, code.co_code
    function = bool(code.co_flags & inspect.CO_OPTIMIZED)
    straight = not function
    handled_from = _first_handled(code.co_exceptiontable)
    extended = extended_to = last_constant = 0
    for index, op in enumerate(bytecode[::2]):
        if op not in _READ:  # most are not, and this loop is the cost of the whole
            continue
        offset = index * 2
        arg = bytecode[offset + 1]
        if index == extended_to:
            arg |= extended
        if op == _EXTENDED_ARG:
            extended, extended_to = arg << 8, index + 1
        if straight and (op in _JUMPS or offset >= handled_from):
            straight = False
        if op in _LOADS:
            name = names[arg >> 1 if op == _LOAD_GLOBAL else arg]
            scan.loaded.add(name)
            if op in _DELETES:
                scan.deleted.add(name)
            if name in _REACH_SCOPE and not function and not _has_argument(bytecode, offset):
                scan.scope = True
        elif straight and op in _STORES:
            if names[arg] not in scan.loaded:
                scan.stored_first.add(names[arg])
        elif op == _LOAD_CONST:
            last_constant = arg
        elif op in _KW_NAMES:
            scan.not_text.add(id(constants[arg]))
        elif op in _TAKE_NAMES:
            scan.not_text.add(id(constants[last_constant]))
            if op == _IMPORT_NAME:
                scan.imports.add(names[arg])
            if op == _IMPORT_NAME and type(constants[last_constant]) is tuple:
                scan.imported_from.add(names[arg].partition(".")[0])
    return scan


def _first_handled(table: bytes) -> float:
    """Return the offset of the first instruction inside a ``try`` or ``with`` (CPython's exception table)."""
    if not table:
        return float("inf")
    start = 0
    for byte in table:
        start = start << 6 | byte & 0x3F
        if not byte & 0x40:
            break
    return start * 2


def _has_argument(bytecode: bytes, offset: int) -> bool:
    """Whether something is pushed right after the function at ``offset``: ``dir(x)`` tells of ``x`` only."""
    following = (op for op in bytecode[offset + 2 :: 2] if op not in _NOTHING)
    return next(following, 0) in _PUSHES


def _is_dynamic(code: types.CodeType, scan: _Scan, texts: list[str]) -> bool:
    loaded, mentioned = scan.loaded, set(code.co_names)
    if scan.scope or not _REACH_ALL.isdisjoint(loaded):
        return True
    if not REACH_MODULES.isdisjoint(loaded | scan.imported_from):
        return True
    if not _REACH_ATTRIBUTES.isdisjoint(mentioned) or ("*",) in code.co_consts:
        return True
    if "modules" in mentioned and ("__main__" in texts or "__name__" in mentioned):
        return True  # sys.modules["__main__"]
    if "get_ipython" not in loaded:
        return False
    if _MAGIC_CALLS.isdisjoint(mentioned) or not _SHELL_NAMESPACE.isdisjoint(mentioned):
        return True  # the shell itself is used, not a magic
    return any(text in _REACH_MAGICS or _REACH_TEXT.search(text) for text in texts)
