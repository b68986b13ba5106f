"""A Dask cluster as on several computers: a scheduler and two workers, each a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from distributed.security import Security


def certificates(folder: Path) -> dict[str, str]:
    """Files of credentials for a cluster and its clients, by Dask's names of the options."""
    made, files = Security.temporary(), {}
    for option, text in (("ca-file", made.tls_ca_file), ("cert", made.tls_client_cert), ("key", made.tls_client_key)):
        (folder / f"{option}.pem").write_text(text)
        files[option] = str(folder / f"{option}.pem")
    return files


@contextmanager
def cluster(
    folder: Path, credentials: Mapping[str, str] | None = None
) -> Generator[tuple[str, list[subprocess.Popen]], None, None]:
    """The address of the scheduler, and the workers; each watches over a process that does the work.

    With credentials they speak TLS, as `dask scheduler` and `dask worker` do with their own options for it.
    """
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    common += [word for option, path in (credentials or {}).items() for word in (f"--tls-{option}", path)]
    common += ["--protocol", "tls"] if credentials else []
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0", *common]]
    for threads in ("1", "2"):  # as many as there are cores, if the user does not say
        commands.append(["worker", "--host", "127.0.0.1", "--nthreads", threads, "--memory-limit", "0", *common])
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen([sys.executable, "-m", "dask", *command], stderr=subprocess.DEVNULL))
            while not file.exists():
                time.sleep(0.1)
        yield _address(file), started[1:]
    finally:
        for process in started:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                child.kill()
            process.wait()


def _address(file: Path) -> str:
    while True:
        try:
            return json.loads(file.read_text())["address"]
        except ValueError:  # half written
            time.sleep(0.1)
