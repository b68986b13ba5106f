"""Do the pieces of a plan on the workers of a Dask cluster: processes of this computer, or of others that share the
folder of the run. Dask schedules, moves work off dead workers and watches over processes; results lie in the folder.
"""

import logging
import os
import pickle
import re
import signal
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask
import torch
from distributed import Client, LocalCluster, as_completed, wait
from distributed.scheduler import KilledWorker
from distributed.security import Security

from pathfinder.errors import FailedWorkError, PathfinderError, PathfinderWarning, reason
from pathfinder.experiment.engines import Done, Failed
from pathfinder.experiment.kept import kept_file
from pathfinder.experiment.pieces import Piece
from pathfinder.experiment.progress import SharedProgress
from pathfinder.experiment.worker import TOPIC, do_piece, prepare
from pathfinder.memory import THRESHOLDS
from pathfinder.storage.keys import versions
from pathfinder.storage.resume import read_kept

_SETTINGS = {
    "distributed.nanny.pre-spawn-environ": {  # Dask's own would give freed memory back at once, see `memory`
        **{name: str(bound) for name, bound in THRESHOLDS.items()},
        "MALLOC_ARENA_MAX": "1",  # pieces run in a thread, whose own arena gives memory back at once in any case
        "OMP_NUM_THREADS": "1",  # each piece sets its own number
    },
    "distributed.admin.tick.interval": "1s",  # every process would wake up fifty times a second, to say when it is late
    "distributed.scheduler.allowed-failures": 2,  # the third worker that a piece kills ends the run
    "distributed.scheduler.worker-saturation": 1.0,  # a piece that waits is not blamed for a worker's end
    "distributed.scheduler.http.routes": [],  # plain HTTP, which everyone on this computer can read
    "distributed.worker.http.routes": [],
    "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],  # Ctrl-C is ours
    "distributed.worker.profile.enabled": False,  # it would hold up small networks a hundred times a second
    "distributed.worker.memory.target": False,  # results are small; memory belongs to torch
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}
_DASHBOARD = {"distributed.scheduler.http.routes": ["distributed.http.scheduler.info", "distributed.http.statics"]}


class Cluster:
    """Does pieces on several workers.

    Args:
        place: where pieces are done; each worker makes its own.
        workers: how many processes of this computer.
        scheduler: the address of a cluster that runs already, instead.
        dashboard: whether the processes of this computer are shown in a browser.

    Raises:
        PathfinderError: if a dashboard is asked for that cannot be started.
    """

    def __init__(self, place: Any, workers: int = 1, scheduler: str | None = None, dashboard: bool = False) -> None:
        if dashboard and scheduler is not None:
            raise PathfinderError(f"{scheduler} has a dashboard of its own; drop --dashboard.")
        if dashboard and find_spec("bokeh") is None:
            raise PathfinderError("--dashboard needs bokeh; install pathfinder[dashboard], or drop it.")
        self._recipe, self._folder = pickle.dumps((versions(), pickle.dumps(place))), place.folder
        self._deterministic = torch.get_deterministic_debug_mode() > 0
        self._workers, self._scheduler, self._dashboard = workers, scheduler, dashboard
        self._client: Client | None = None
        self._held = ExitStack()

    def __enter__(self) -> "Cluster":
        """Start the workers and let them load the data, or find those that run.

        Raises:
            PathfinderError: if no scheduler answers.
        """
        with ExitStack() as held:
            self._client = client = held.enter_context(self._connect())
            if self._scheduler is None:
                # another worker may do it, or a worker that ends meanwhile would be waited for; pieces report errors
                how = {"allow_other_workers": True, "pure": False}
                wait([client.submit(prepare, self._recipe, workers=[one], **how) for one in client.nthreads()])
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave the cluster; its workers end if they were started here, at once after an error."""
        self._held.__exit__(*error)

    def run(self, pieces: Iterable[Piece], progress: SharedProgress, finished: Callable[[Done], None]) -> list[Failed]:
        """As for `Engine`; one line says that a worker has ended.

        Raises:
            FailedWorkError: if a piece ends three workers, or the scheduler ends; or if a worker that was left at work
                by an interrupted run has overwritten a result.
        """
        named = {piece.name: piece for piece in pieces}
        run = uuid.uuid4().hex[:8]  # keys of an earlier run mean other pieces
        failed, done = list[Failed](), list[Piece]()
        client = self._client
        assert client is not None, "enter the cluster first"
        futures: dict[str, Any] = {}
        with _Watch(client, named, progress) as watch:  # from before the first piece, whose messages would be missed
            for piece in named.values():
                needs = [futures[name] for name in piece.needs]
                key = f"{run} {piece.name}"
                futures[piece.name] = client.submit(
                    do_piece, self._recipe, piece, needs, self._deterministic, key=key, pure=False
                )
            names = {future.key: name for name, future in futures.items()}
            for future in as_completed(futures.values()):
                piece = named[names[future.key]]
                outcome, notes = _outcome(future, piece)
                watch.left(piece.name)
                for note in notes:
                    warnings.warn(note, PathfinderWarning, stacklevel=2)
                if isinstance(outcome, Done):
                    if piece.points:
                        progress.of(piece)(piece.points, piece.points)
                    done.append(piece)
                    finished(outcome)
                elif isinstance(outcome, Failed):
                    failed.append(outcome)
        if self._scheduler is not None:
            _check_kept(self._folder, done)
        order = list(named)
        return sorted(failed, key=lambda one: order.index(one.piece.name))

    @contextmanager
    def _connect(self) -> Generator[Client, None, None]:
        if self._scheduler is not None:
            _warn_of_plain(self._scheduler)
            try:
                client = Client(self._scheduler)  # TLS files come from Dask's own settings
            except (OSError, ValueError) as error:
                raise PathfinderError(
                    f"no Dask scheduler answers at {self._scheduler} ({reason(error)}); start one, or name its address."
                ) from error
            except TypeError as error:  # Dask's own words on missing certificates
                raise PathfinderError(
                    f"{self._scheduler} needs certificates ({reason(error)}); name their files in Dask's settings "
                    "distributed.comm.tls."
                ) from error
            with client:
                if not client.nthreads():
                    text = f"{self._scheduler} has no worker yet; the run waits until one joins."
                    warnings.warn(text, PathfinderWarning, stacklevel=2)
                yield client
            return
        with (
            dask.config.set({**_SETTINGS, **(_DASHBOARD if self._dashboard else {})}),
            LocalCluster(
                n_workers=self._workers,
                threads_per_worker=1,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),  # other users of this computer can reach its loopback address
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0", "dashboard": self._dashboard},
                worker_dashboard_address=None,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            if self._dashboard:
                warnings.warn(
                    f"Dask shows the workers at {cluster.dashboard_link}, unencrypted, to everyone on this computer.",
                    PathfinderWarning,
                    stacklevel=2,
                )
            try:
                yield client
            finally:
                _kill(cluster)


def _kill(cluster: LocalCluster) -> None:
    """End the workers at once: nothing waits for them, and Dask would give each some seconds."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with suppress(OSError, TypeError):  # it has ended, or not begun
            os.kill(nanny.pid, signal.SIGKILL)


def _warn_of_plain(address: str) -> None:
    """Warn of an address that anyone on the way can read and use."""
    protocol, _, host = address.rpartition("://")
    if protocol != "tls" and not re.fullmatch(r"(127(\.\d+){3}|localhost|\[::1\])(:\d+)?", host):
        warnings.warn(
            f"{address} is not encrypted: whoever reaches this cluster can run code as you, and read your data; use "
            "tls:// with certificates of your own.",
            PathfinderWarning,
            stacklevel=2,
        )


def _outcome(future: Any, piece: Piece) -> tuple[Done | Failed | None, list[str]]:
    """What became of a piece, and the notes that it gave.

    Raises:
        FailedWorkError: if it, or one that it needs, ended too many workers; or the scheduler has ended.
    """
    try:
        return future.result()
    except KilledWorker as error:
        name = str(error.task).partition(" ")[2] or piece.name
        raise FailedWorkError(
            f"`{name}` ended the process that did it {error.allowed_failures + 1} times, as lack of memory does; what "
            "is done is kept. Lower batch_size or the number of workers, and run the same command again."
        ) from error
    except CancelledError as error:
        raise FailedWorkError(
            "the Dask scheduler ended before the work was done; what is done is kept. Start it, and run the same "
            "command again."
        ) from error


def _check_kept(folder: Path, done: Iterable[Piece]) -> None:
    """Check that the folder of a run keeps what its own pieces wrote.

    Raises:
        FailedWorkError: if it does not.
    """
    for piece in done:
        kept = read_kept(kept_file(folder, piece.name))
        if kept is not None and kept["key"] != piece.key:
            raise FailedWorkError(
                f"`{piece.name}` was overwritten by a worker that an interrupted run with other settings left at work; "
                "wait until the workers are idle, or restart them, and run the same command again with --force."
            )


class _Watch:
    """Shows how far the pieces of workers are, how many of the workers are at work, and that one has ended.

    Args:
        client: of the cluster.
        pieces: by name.
        progress: shows it.
    """

    def __init__(self, client: Client, pieces: Mapping[str, Piece], progress: SharedProgress) -> None:
        self._pieces, self._progress = pieces, progress
        self._workers = {*client.nthreads()}
        self._begun, self._left = set[str](), set[str]()  # names of pieces
        self._client = client
        self._heard = {TOPIC: self._hear_of_piece, "all": self._hear_of_worker}  # `all` is Dask's own

    def __enter__(self) -> "_Watch":
        for topic, hear in self._heard.items():
            self._client.subscribe_topic(topic, hear)
        return self

    def __exit__(self, *error: object) -> None:
        if self._client.status == "running":
            for topic in self._heard:
                self._client.unsubscribe_topic(topic)  # workers end now

    def left(self, name: str) -> None:
        """A piece was done, or given up."""
        self._left.add(name)
        self._show()

    def _hear_of_piece(self, event: tuple[float, Any]) -> None:
        name, done, total = event[1]
        if name in self._pieces:  # and of no other run
            self._begun.add(name)
            self._progress.of(self._pieces[name])(done, total)
            self._show()

    def _hear_of_worker(self, event: tuple[float, Any]) -> None:
        action, worker = event[1].get("action"), event[1].get("worker")
        if action not in ("add-worker", "remove-worker"):
            return
        if action == "add-worker":
            self._workers.add(worker)
        else:
            self._workers.discard(worker)
            self._begun -= {str(key).partition(" ")[2] for key in event[1]["processing-tasks"]}
            text = f"the worker {worker} has ended; what it did is done by others, from where it was last saved."
            warnings.warn(text, PathfinderWarning, stacklevel=2)
        self._show()

    def _show(self) -> None:
        self._progress.workers(len(self._begun - self._left), len(self._workers))
