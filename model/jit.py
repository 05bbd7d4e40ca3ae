"""Compilation of the loops over pixels that numpy cannot express."""

import pickle
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, NullCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

from icstream.model import cache


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, compiled on first use and cached on disk."""
    loop: Any = numba.njit(nogil=True)(function)
    loop._cache = _LoopCache(loop.py_func)
    return loop  # type: ignore[no-any-return]


class _LoopCache(NullCache):
    """The compiled versions of one function, by the types of its arguments.

    They are stored beside Python's bytecode if that folder is safe, otherwise in the user's cache.
    Numba's own cache trusts the disk: after a power failure every later run failed.
    """

    def __init__(self, function: FunctionType) -> None:
        self._function = function
        self._source: str | None = None
        self._beside = Path(function.__code__.co_filename).parent / "__pycache__"

    def load_overload(self, sig: object, target_context: Any) -> Any:
        """Return the compiled version for a signature, or None."""
        target_context.refresh()
        name = self._name(sig, target_context.codegen())
        content = cache.load(name, beside=self._beside)
        if content is None:
            return None
        return _FORM.rebuild(target_context, pickle.loads(content))

    def save_overload(self, sig: object, result: Any) -> None:
        """Store the compiled version for a signature."""
        if _FORM.check_cachable(result):
            content = dumps(_FORM.reduce(result))  # type: ignore[no-untyped-call]
            cache.store(self._name(sig, result.codegen), content, beside=self._beside)

    def _name(self, sig: object, codegen: Any) -> str:
        """Return the name in the cache, which covers all that determines the compiled code."""
        self._source = self._source or source_digest(self._function)
        key = repr((self._source, numba.__version__, sig, codegen.magic_tuple()))
        return f"{self._function.__name__}-{blake2b(key.encode(), digest_size=16).hexdigest()}.loop"


class _Form(CompileResultCacheImpl):
    """Numba's serialization of compiled code, without a folder of its own."""

    def __init__(self) -> None:
        pass


_FORM: Any = _Form()


def source_digest(function: FunctionType) -> str:
    """Return the digest of the source of a loop, in hexadecimal.

    It covers the file of the loop and those of the loops that it calls.
    """
    files: set[str] = set()
    waiting = [function]
    while waiting:
        code = waiting[-1].__code__
        names = waiting.pop().__globals__
        if code.co_filename not in files:
            files.add(code.co_filename)
            waiting += [value.py_func for value in names.values() if isinstance(value, Dispatcher)]
    digest = blake2b(function.__qualname__.encode(), digest_size=16)
    for file in sorted(files):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()
