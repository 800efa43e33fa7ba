"""A PostgreSQL server for one benchmark or one file of tests, from Debian's package, in a folder that goes away.

As root it runs under the package's user, since the server refuses root. It listens on a socket in its folder alone.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "burnish"
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
FAST = ("fsync=off", "full_page_writes=off")
"""For tests, which survive no power cut; benchmarks keep a server as it is delivered."""


class Unavailable(RuntimeError):
    """There is no server to start here."""


def programs() -> Path:
    """The folder of initdb and pg_ctl. Raises Unavailable with what to install."""
    found = [Path(one).parent for one in [shutil.which("initdb")] if one]
    found += [path for place in PLACES for path in sorted(Path("/").glob(place[1:])) if (path / "initdb").exists()]
    if not found:
        raise Unavailable("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1]


@contextmanager
def started(options: tuple[str, ...] = ()) -> Iterator[Path]:
    """Runs a server, gives the folder of its socket, and stops it. Raises Unavailable where none can run."""
    place = Path(tempfile.mkdtemp(prefix="burnish-postgres-"))
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    bin_ = programs()

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, **account)
        if done.returncode:
            raise Unavailable(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-300:]}")

    log, data = str(place / "log"), str(place / "data")
    settings = [f"unix_socket_directories={place}", "listen_addresses=", "max_connections=120", *options]
    try:
        if account:
            shutil.chown(place, "postgres", "postgres")
        run(str(bin_ / "initdb"), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        told = " ".join(f"-c {one}" for one in settings)
        run(str(bin_ / "pg_ctl"), "-D", data, "-l", log, "-w", "-o", told, "start")
        try:
            yield place
        finally:
            run(str(bin_ / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    except (LookupError, PermissionError) as error:
        raise Unavailable(f"PostgreSQL cannot run as the user postgres: {error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def address(place: Path, database: str) -> str:
    """What BURNISH_DATABASE_URL says for one of its databases."""
    return f"postgresql://{USER}@/{database}?host={place}"


def make_database(place: Path, name: str) -> str:
    """Makes an empty database and returns its address."""
    import psycopg

    with psycopg.connect(f"host={place} user={USER} dbname=postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return address(place, name)
