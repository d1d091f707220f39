"""What schedulers and workers unpickle: the values of a painting, and nothing else."""

import ast
import builtins
import importlib
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import pytest
from dask._expr import LLGExpr
from dask._task_spec import Task
from distributed.core import Status
from distributed.scheduler import KilledWorker, WorkerState
from tblib.pickling_support import (  # type: ignore[import-untyped]
    unpickle_exception,
    unpickle_exception_with_attrs,
)

from engine.cluster.restricted import is_painting
from engine.cluster.safe_pickle import ALLOWED, Refused, loads
from engine.errors import NotAPicture, PictureTooLarge
from engine.images.limits import Limits
from engine.progress import Result
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import PaintingOrder
from engine.worker.tasks import check_picture, paint_picture

ROOT = Path(__file__).parents[3]
RESULT = Result(b"picture", "png", 4, 3, Recipe(), 5, 1.5, "finished")


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, 2.5, b"x", {"y"}], "b": (True, frozenset({1}))},
        Recipe(size=64, steps=3),
        PaintingOrder("version", Recipe(), Inputs("c", ("s",)), None, None, 10.0),
        Limits(),
        RESULT,
        PictureTooLarge("bytes", 2, 1),
        type(None),
        Status.running,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_a_painting_are_read(value: object) -> None:
    assert str(loads(pickle.dumps(value))) == str(value)
    assert type(loads(pickle.dumps(value))) is type(value)


def test_buffers_outside_the_pickle_are_read() -> None:
    beside: list[pickle.PickleBuffer] = []
    data = pickle.dumps(pickle.PickleBuffer(b"many bytes"), protocol=5, buffer_callback=beside.append)
    assert bytes(loads(data, buffers=beside)) == b"many bytes"


def test_a_task_in_dasks_wrapper_is_read() -> None:
    expression = loads(pickle.dumps(LLGExpr({"key": Task("key", check_picture, b"bytes")})))  # type: ignore[no-untyped-call]
    assert is_painting(expression.__dask_graph__()["key"])


def test_the_error_for_a_killed_worker_is_read() -> None:
    """The executor distinguishes it from other errors."""
    worker = WorkerState(
        address="tls://127.0.0.1:1",
        status=Status.running,
        pid=1,
        name="worker",
        server_id="Worker-1",
        nthreads=2,
        memory_limit=0,
        local_directory="/nowhere",
        nanny=None,
    )
    worker._occupancy_cache = 1.0  # else it asks its scheduler
    arrived = loads(pickle.dumps(KilledWorker("key", worker.clean(), 0)))
    assert isinstance(arrived, KilledWorker)
    assert arrived.last_worker.address == "tls://127.0.0.1:1"


class Calls:
    """Its pickle calls ``function``."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def named(value: object) -> str:
    """The start of its text, without addresses, so that a test has the same name in each run."""
    return re.sub(" at 0x[0-9a-f]+", "", str(getattr(value, "made", value)))[:60]


@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, "false"),
        Calls(eval, "1"),
        Calls(exec, "1"),
        Calls(getattr, "", "join"),
        Calls(importlib.import_module, "antigravity"),
        Calls(subprocess.Popen, ["false"]),
        Calls(open, "/etc/hostname"),
        Calls(type, "Made", (), {}),
        Calls(type, "of a text"),
        Calls(pickle.loads, pickle.dumps(1)),
        Calls(cloudpickle.loads, pickle.dumps(1)),
        Task("key", os.system, "false"),
        Calls(SystemExit, 1),
        Calls(unpickle_exception, SystemExit, (1,), None, None),
        Calls(unpickle_exception, check_picture, (b"",), None, None),
        Calls(unpickle_exception, OSError, Limits(), None, None),
        Calls(unpickle_exception_with_attrs, Limits, {"pixels": 10**12}, None, None, None, False, None),
        Calls(unpickle_exception_with_attrs, OSError, Limits(), None, None, None, False, None),
        subprocess.Popen,
        KeyboardInterrupt,
        Path("/etc/passwd"),
        ast.parse,
    ],
    ids=named,
)
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_other_values_are_refused(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol=protocol)
    with pytest.raises(Refused, match="is not part of a painting"):
        loads(data)


def test_functions_sent_by_value_are_refused() -> None:
    with pytest.raises(Refused):
        loads(cloudpickle.dumps(lambda: 1))


@pytest.mark.parametrize(
    "name",
    ["check_picture.__globals__", "check_picture.__code__", "Recipe.__init__.__globals__", "os", "asyncio.subprocess"],
)
@pytest.mark.parametrize("module", ["engine.worker.tasks", "engine.recipe", "engine.errors"])
def test_attributes_of_allowed_objects_are_refused(module: str, name: str) -> None:
    parts = (b"\x80\x04", *(b"\x8c" + bytes([len(each)]) + each.encode() for each in (module, name)), b"\x93.")
    with pytest.raises(Refused):
        loads(b"".join(parts))


@pytest.mark.parametrize("value", [Limits, NotAPicture, Status.running, check_picture], ids=named)
def test_a_change_of_a_shared_object_is_refused(value: object) -> None:
    """A pickle could refer to a shared object and set its state, for example a limit."""
    named = pickle.dumps(value, protocol=2)
    assert named.endswith(b".")
    state = pickle.dumps((None, {"pixels": 10**12}), protocol=2)
    with pytest.raises(Refused, match="a change of what is there is not part of a painting"):
        loads(named[:-1] + state[2:-1] + b"b.")
    assert Limits().pixels == 64_000_000


@pytest.mark.parametrize("function", [check_picture, paint_picture])
def test_a_call_of_an_allowed_function_is_refused(function: Callable[..., object]) -> None:
    calls = (
        pickle.dumps(Calls(function, b""), protocol=4),
        b"(cengine.worker.tasks\n%b\no." % function.__name__.encode(),
    )
    for data in (*calls, b"(iengine.worker.tasks\n%b\n." % function.__name__.encode()):
        with pytest.raises(Refused, match="a call is not part of a painting"):
            loads(data)


def test_allowed_names_exist_and_only_construct_values() -> None:
    functions = []
    for module, name in ALLOWED:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if not isinstance(found, type):
            functions.append(found)
    tasks = {"check_picture", "compose_pictures", "make_thumbnail", "paint_picture", "shrink_picture", "train_network"}
    assert {each.__name__ for each in functions} == {*tasks, "_reconstruct"}
    plain = {name for module, name in ALLOWED if module == "builtins" and name not in {"bytes", "int"}}
    assert all(issubclass(getattr(builtins, name), Exception) for name in plain)


class TestIsPainting:
    @pytest.mark.parametrize("function", [check_picture, paint_picture])
    def test_accepts_tasks_with_our_functions(self, function: Callable[..., object]) -> None:
        assert is_painting(Task("key", function, b"bytes"))

    @pytest.mark.parametrize(
        "task",
        [
            Task("key", os.system, "false"),
            Task("key", Recipe),
            Task("key", check_picture, Task("inner", check_picture, b"")),
            Task("key", check_picture, data=Task("inner", os.system, "false")),
            check_picture,
            None,
        ],
        ids=named,
    )
    def test_rejects_other_tasks(self, task: object) -> None:
        assert not is_painting(task)

    def test_rejects_a_function_with_the_same_name(self) -> None:
        def namesake() -> None: ...

        namesake.__module__, namesake.__qualname__ = check_picture.__module__, check_picture.__qualname__
        assert not is_painting(Task("key", namesake))


RESTRICTED = """
import os, pickle, msgpack
from distributed.core import clean_exception, error_message
from distributed.protocol import ToPickle, Serialize, deserialize, dumps, loads, serialize
from engine.cluster.safe_pickle import Refused, restrict
from engine.errors import NotAPicture
restrict()
for sent in KeyError("gone"), ConnectionError("broken"), TimeoutError(), Exception("a", 1), NotAPicture("PDF"):
    try:
        raise sent
    except Exception as error:
        answer = loads(dumps(error_message(error)))
    kind, read, traceback = clean_exception(**answer)
    if (kind, read.args, vars(read), traceback) != (type(sent), sent.args, vars(sent), None):
        print("not as sent:", repr(read))
import distributed.client, distributed.scheduler
made = pickle.dumps(os.getpid)
named = {"__Enum__": True, "__module__": "distributed.utils", "__name__": "os", "name": "getpid"}
ways = [
    lambda: loads(dumps(ToPickle(os.getpid))),
    lambda: loads(dumps(Serialize(os.getpid))),
    lambda: deserialize(*serialize(os.getpid)),
    lambda: deserialize({"serializer": "dask", "type-serialized": made, "sub-header": {}}, []),
    lambda: distributed.client.loads(made),
    lambda: distributed.client.pickle.loads(made),
    lambda: distributed.scheduler.loads(made),
    lambda: distributed.scheduler.pickle.loads(made),
    lambda: loads([msgpack.packb(named)]),
]
for number, way in enumerate(ways):
    try:
        way()
    except Refused:
        continue
    print("open:", number)
print("done")
"""


def test_every_unpickling_function_of_dask_is_restricted_and_errors_are_read() -> None:
    """In a separate process, because the restriction is permanent."""
    done = subprocess.run([sys.executable, "-c", RESTRICTED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["done"]
    assert "tblib" not in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        "core.pickle = types.SimpleNamespace(loads=pickle.loads, dumps=lambda value, **_: pickle.dumps(value, 5))",
        "safe_pickle.decoded = core.msgpack_decode_default",
    ],
)
def test_an_incompatible_dask_is_refused(change: str) -> None:
    code = f"""
import pickle, types
import distributed.protocol.core as core
from engine.cluster import safe_pickle
{change}
safe_pickle.restrict()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "can't be kept from running other code" in done.stderr
