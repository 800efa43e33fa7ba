"""Every error burnish raises, as one tree; each carries its exit code and a hint that says what to do next.

BurnishError             something failed                                             exit 1
    UsageError           the command was called in a way that cannot work             exit 2
    BudgetError          the next step would cost more than is left                   exit 4
    WaitingError         people have to answer before it can go on; the work is kept     exit 4
    DataError            a file or a row cannot be read, or not believed              exit 65
    ModelError           a base model or an adapter cannot be loaded, or not trusted  exit 65
    TrainingError        training stopped: loss not finite, nothing to learn from     exit 1
    EvaluationError      a score smells of a bug, so no number is printed             exit 1
    ServiceError         a teacher or a judge did not answer after its retries        exit 69
    StorageError         a file or the database cannot be written, or is damaged      exit 73
        DamagedError     stored bytes differ from what was sealed                     exit 73
    BusyError            another process holds the project                            exit 75
    AccessError          the file system refuses the permission                       exit 77
    ConfigError          burnish.yaml asks for something impossible                   exit 78
    Interrupted          Ctrl-C or SIGTERM; the work is saved                         exit 130

Three exit codes belong to no error but to a result. 3: the gate held, or a canary proved harm. 5: `burnish watch` has
an alarm. 6: the gate could not tell. Exit code 4 says in all its uses that nothing failed and the next step waits for
people: for more money, for an approval, or for answers.
"""

EXIT_GATE_HELD = 3
"""The gate held, people refused, or a canary proved harm."""
EXIT_WAITS = 4
"""The gate passed a challenger that nobody has approved yet."""
EXIT_ALARM = 5
"""`burnish watch` looked, and something has drifted."""
EXIT_INCONCLUSIVE = 6
"""The gate could not tell, or may not say more than that before its vault retires."""


class BurnishError(Exception):
    """A mistake or a fault that a user can act on: what is wrong, what was found, and in `hint` what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BurnishError):
    """The command was called in a way that cannot work."""

    exit_code = 2


class BudgetError(BurnishError):
    """The next step would cost more than is left; nothing was spent on it."""

    exit_code = 4


class WaitingError(BurnishError):
    """People have to answer before it can go on; the work is kept, and the same command goes on from there."""

    exit_code = 4


class DataError(BurnishError):
    """A file or a row cannot be read, or not believed."""

    exit_code = 65


class ModelError(BurnishError):
    """A base model or an adapter cannot be loaded, or must not be trusted."""

    exit_code = 65


class TrainingError(BurnishError):
    """Training stopped before it was done; the last good checkpoint is kept."""


class EvaluationError(BurnishError):
    """A score smells of a bug, so no number is given."""


class ServiceError(BurnishError):
    """A teacher or a judge did not answer after its retries."""

    exit_code = 69


class StorageError(BurnishError):
    """A file or the database cannot be written or read."""

    exit_code = 73


class DamagedError(StorageError):
    """Stored bytes differ from what was sealed."""


class BusyError(BurnishError):
    """Another process holds the project; try again when it is done."""

    exit_code = 75


class AccessError(BurnishError):
    """The file system refuses the permission."""

    exit_code = 77


class ConfigError(BurnishError):
    """burnish.yaml, or a --set override, asks for something impossible."""

    exit_code = 78


class Interrupted(BurnishError):
    """Ctrl-C or SIGTERM arrived; what was done is saved and the same command goes on from there."""

    exit_code = 130
