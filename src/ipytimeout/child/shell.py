"""The child's InteractiveShell: a real one, on the user's namespace, without history. Runs in the child or template.

Law of the file: the code meets the shell it would meet in the kernel. To libraries that look, it has ipykernel's
class name (pandas, tqdm and rich decide by it how to draw), while ipykernel is not imported.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import linecache
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from traitlets import Any as AnyTrait
from traitlets import Instance, Type, default
from traitlets.config import Config

from ipytimeout.child import kernel_magics
from ipytimeout.child.channel import Channel
from ipytimeout.child.display import ChildDisplayHook, ChildDisplayPublisher, ChildPayloadManager
from ipytimeout.child.errors import end_where_the_code_was, explain_refused, text_of
from ipytimeout.child.history import let_know
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.process import Reserve
from ipytimeout.exceptions import DeadlineInterrupt
from ipytimeout.wire.adapters.interpreter import SHOWN
from ipytimeout.wire.messages.outputs import Error

if TYPE_CHECKING:
    # What IPython annotates differs from release to release; here it counts as unknown.
    CachingCompiler: Any
    ExitAutocall: Any
    InteractiveShell: Any
    page: Any
else:
    from IPython.core import page
    from IPython.core.autocall import ExitAutocall
    from IPython.core.compilerop import CachingCompiler
    from IPython.core.interactiveshell import InteractiveShell


class EndOfRun(BaseException):
    """Raised by ``exit`` and ``quit``: the run ends here, without an error."""


class CellCompiler(CachingCompiler):  # type: ignore[misc]
    """Gives code the file names that tracebacks and ``SyntaxError`` show in the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.cell_directory = ""
        self._cell = ("", "")
        #: The file names of code that the run itself has made, by nested ``run_cell``.
        self.made: list[str] = []

    def expect(self, code: str, filename: str) -> None:
        """Give ``code`` this name when it comes; any other code, or with "" this too, gets one of our own."""
        self._cell = (code, filename)

    def number(self, cells: Mapping[str, int]) -> None:
        """Let tracebacks call these files "Cell In[n]"."""
        self._filename_map.update(cells)

    def made_sources(self) -> dict[str, tuple[str, int]]:
        """Return the text and the number of the code that the run itself has made."""
        return {
            name: ("".join(linecache.getlines(name)), self._filename_map[name])
            for name in self.made
            if name in linecache.cache and name in self._filename_map
        }

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        code, filename = self._cell
        if filename and raw_code == code:
            return filename
        if not self.cell_directory:
            name = str(super().get_code_name(raw_code, transformed_code, number))
        else:
            digest = hashlib.blake2b(raw_code.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            name = f"{self.cell_directory}/{int.from_bytes(digest, 'big')}.py"
        if name not in self.made:
            self.made.append(name)
        return name


class Exit(ExitAutocall):  # type: ignore[misc]
    """``exit`` and ``quit``: end the run, not the kernel."""

    def __call__(self, keep_kernel: object = False) -> None:
        raise EndOfRun


class ChildShell(InteractiveShell):  # type: ignore[misc]
    """The InteractiveShell of one run."""

    channel: Channel
    interrupts: Interrupts
    display_pub_class = Type(ChildDisplayPublisher)
    displayhook_class = Type(ChildDisplayHook)
    compiler_class = Type(CellCompiler)
    exiter = Instance(Exit)
    #: There is no kernel here; libraries that ask get what they get from a shell without one.
    kernel = AnyTrait(None)
    #: Why names are missing that the code may use: name → reason.
    refused: dict[str, str]
    #: The exception that was shown last, and how.
    shown: tuple[BaseException, Error] | None
    #: Memory for showing that there is none.
    reserve: Reserve | None = None

    def __init__(
        self, *, channel: Channel, interrupts: Interrupts, cell_directory: str, like_kernel: bool, **kwargs: Any
    ) -> None:
        self.like_kernel = like_kernel
        self.channel = channel
        self.interrupts = interrupts
        self.refused = {}
        self.shown = None
        super().__init__(**kwargs)
        self.compile.cell_directory = cell_directory
        #: What the namespace has before anything of the user's is in it.
        self.first_names = dict(self.user_ns)

    @default("exiter")
    def _default_exiter(self) -> Exit:
        return Exit(self)

    def bookkeeping(self) -> set[str]:
        """Name what IPython itself has put into the namespace, and the user has not put anything else at."""
        own = {**self.first_names, **self.user_ns_hidden}
        missing = object()
        return {name for name, value in own.items() if self.user_ns.get(name, missing) is value}

    def adopt_history(self, values: Mapping[str, object], count: int, raw: Sequence[str] = ()) -> None:
        """Let what came of the kernel's history be this shell's own: ``In``, ``Out``, ``_`` and so on.

        ``raw``: the cells as they were written, where they are asked for.
        """
        history = self.history_manager
        own: dict[str, Any] = {"get_ipython": self.first_names["get_ipython"]}
        inputs = values.get("In", values.get("_ih"))
        if isinstance(inputs, list):
            # A list of our own: the cell itself is added when it runs, and the kernel has it already.
            history.input_hist_parsed[:] = inputs[:count]
            history.input_hist_raw[:] = raw or inputs[:count]
            own |= {"In": history.input_hist_parsed, "_ih": history.input_hist_parsed}
        let_know(history, count, texts=isinstance(inputs, list))
        outputs = values.get("Out", values.get("_oh"))
        if isinstance(outputs, dict):
            # The kernel's very own: what the cell adds or removes comes back.
            history.output_hist = outputs
            own |= {"Out": outputs, "_oh": outputs}
        elif "Out" in self.refused:
            self.user_ns.pop("Out", None)  # the reason is told where it is used
        self.user_ns.update(own)  # the very objects that the shell works with
        self.first_names.update(own)
        self.user_ns_hidden.update(own)
        for name, attribute in (("_i", "_i00"), ("_ii", "_i"), ("_iii", "_ii")):
            if isinstance(text := values.get(name), str):
                setattr(history, attribute, text)
        for name in values.keys() & {"_", "__", "___"}:
            setattr(self.displayhook, name, values[name])

    # ------------------------------------------------------------ what is different from a terminal's shell

    def init_environment(self) -> None:
        """Leave ``os.environ`` alone: the kernel's own is applied."""

    def init_virtualenv(self) -> None:
        """Leave ``sys.path`` alone: the kernel's own is applied."""

    def init_magics(self) -> None:
        super().init_magics()
        if self.like_kernel:
            kernel_magics.register(self)

    def init_events(self) -> None:
        super().init_events()
        self.leave_callbacks_to_the_kernel()

    def leave_callbacks_to_the_kernel(self) -> None:
        """Do not call what the notebook has registered to be called with each cell."""
        trigger = self.events.trigger

        def trigger_own(event: str, *args: Any, **kwargs: Any) -> None:
            """Leave the notebook's callbacks to the kernel, where the cell is run too: natively each is called once."""
            callbacks = self.events.callbacks[event]
            every = callbacks[:]
            callbacks[:] = [each for each in every if getattr(each, "__module__", "") != "__main__"]
            try:
                trigger(event, *args, **kwargs)
            finally:
                callbacks[:] = every

        self.events.trigger = trigger_own

    def init_payload(self) -> None:
        self.payload_manager = ChildPayloadManager(parent=self)
        self.configurables.append(self.payload_manager)

    def init_hooks(self) -> None:
        super().init_hooks()
        self.show_pages()

    def show_pages(self) -> None:
        self.set_hook("show_in_pager", page.as_hook(self._page), 99)

    def _page(self, text: Any, start: int = 0, screen_lines: int = 0, pager_cmd: object = None) -> None:
        """Show a text in the front end's pager."""
        data = text if isinstance(text, dict) else {"text/plain": text}
        self.payload_manager.write_payload({"source": "page", "data": data, "start": max(0, start)})

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Put a text into the next cell."""
        self.payload_manager.write_payload({"source": "set_next_input", "text": text, "replace": replace})

    def ask_exit(self) -> None:
        raise EndOfRun

    def enable_gui(self, gui: str | None = None) -> None:
        """Accept what needs no event loop of its own."""
        if gui not in (None, "", "inline", "asyncio"):
            raise UsageError(f"windows of {gui!r} cannot be shown from inside a timed cell: use %matplotlib inline")

    # ------------------------------------------------------------ errors

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        with self.interrupts.deadline_held():
            self._show(exc_tuple, *args, **kwargs)

    def _show(self, exc_tuple: Any, *args: Any, **kwargs: Any) -> None:
        with suppress(ValueError):  # there is no exception to show: the shell says so
            error = self._get_exc_info(exc_tuple)[1]
            if isinstance(error, EndOfRun):
                return
            if self.is_deadline(error):
                return  # what a deadline shows is for the host to say, and the less is done here the sooner
            if isinstance(error, MemoryError) and self.reserve is not None:
                self.reserve.release()
            explain_refused(error, self.refused)
            end_where_the_code_was(error)
        super().showtraceback(exc_tuple, *args, **kwargs)

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        displaying = bool(getattr(self.displayhook, "_is_active", False))
        error = Error(etype.__name__, text_of(evalue), [str(line) for line in stb], displaying)
        self.shown = (evalue, error)
        self._last_traceback = stb
        self.channel.send(error)

    def _format_exception_for_storage(self, exception: BaseException, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Render no traceback a second time, for a history that ends with this process (IPython 9)."""
        return {"ename": type(exception).__name__, "evalue": text_of(exception), "traceback": []}

    def is_deadline(self, error: BaseException | None) -> bool:
        """Tell whether this is the deadline's interrupt, also where it came as a cancellation."""
        return self.interrupts.caused(error, DeadlineInterrupt)

    def is_interrupt(self, error: BaseException | None) -> bool:
        """Tell whether this is a KeyboardInterrupt, also where it came as a cancellation."""
        return self.interrupts.caused(error, KeyboardInterrupt)


def make_shell(channel: Channel, interrupts: Interrupts, *, looks_like_kernel: bool, cell_directory: str) -> ChildShell:
    """Make the one shell of this process."""
    config = Config()
    config.HistoryManager.enabled = False
    config.Completer.use_jedi = False
    if looks_like_kernel:
        config.IPKernelApp.tqdm = "tqdm looks for IPKernelApp here to know that it is in a notebook"
        ChildShell.__name__ = ChildShell.__qualname__ = "ZMQInteractiveShell"
        ChildShell.__module__ = "ipykernel.zmqshell"
        _stand_in_for_ipykernel()
        _use_ipython_debugger()
    leave_the_exit_warning_to_the_host()
    shell: ChildShell = ChildShell.instance(
        config=config,
        channel=channel,
        interrupts=interrupts,
        cell_directory=cell_directory,
        like_kernel=looks_like_kernel,
    )
    if looks_like_kernel:
        shell.extension_manager.load_extension("storemagic")
    return shell


def warm_up(shell: ChildShell) -> None:
    """Pay now what the first use of would cost: the machinery of tracebacks takes 70 ms."""
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        with warnings.catch_warnings():
            shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
    shell.display_formatter.format("")
    shell.transform_cell("1")
    SHOWN.be_told()


def leave_the_exit_warning_to_the_host() -> None:
    """Say "To exit: use 'exit' …" once: the host's shell says it when ``SystemExit`` is raised there again."""
    from IPython.core import interactiveshell

    native: Any = vars(interactiveshell)["warn"]

    def warn(message: Any, *args: Any, stacklevel: int = 1, **kwargs: Any) -> None:
        if not str(message).startswith("To exit: use"):
            native(message, *args, stacklevel=stacklevel + 1, **kwargs)

    vars(interactiveshell)["warn"] = warn


def _stand_in_for_ipykernel() -> None:
    """Let the module of that class be there: tqdm looks for it. Whoever wants more of it gets the real one."""
    name = ChildShell.__module__
    module = types.ModuleType(name, "ipykernel's shell, as far as a child has one.")

    def __getattr__(attribute: str) -> Any:  # noqa: N807  # a module's own
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    spec = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(ZMQInteractiveShell=ChildShell, __getattr__=__getattr__, __spec__=spec)
    sys.modules[name] = module


def _use_ipython_debugger() -> None:
    """Let ``pdb`` and ``breakpoint()`` be IPython's, as ipykernel does."""
    import pdb  # noqa: T100

    from IPython.core import debugger

    if hasattr(debugger, "InterruptiblePdb"):
        vars(debugger)["Pdb"] = debugger.InterruptiblePdb
        vars(pdb).update(Pdb=debugger.InterruptiblePdb, set_trace=debugger.set_trace)
