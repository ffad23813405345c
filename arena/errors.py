"""All errors that lineage-arena raises on purpose, and the exit code each one carries.

    ArenaError                  1  our bug, unless a subclass says otherwise
    ├── ConfigError             2  usage or configuration
    ├── DataError               3  input data (tapes, policy files)
    ├── StoreError              4  a run's store is damaged or incompatible
    │   ├── SchemaVersionError  4  written by a newer or older schema
    │   ├── TamperedError       4  the history does not verify
    │   └── DivergenceError     4  a recomputed round differs from the recorded one
    ├── EnvironmentFault        5  disk, lock, missing extra, conflicting packages
    ├── ActionError             2  an action that nobody can take, or a step out of turn
    ├── InvariantError          1  money or identity would have been created or lost
    └── StaleAgentError         1  a view of a dead agent was used

A message names the place, the value, the rule and the cure, in one line.
"""


class ArenaError(Exception):
    """Base of every deliberate error; `exit_code` is what the process leaves with."""

    exit_code: int = 1


class ConfigError(ArenaError):
    """A flag, scenario or configuration value breaks a rule."""

    exit_code = 2


class DataError(ArenaError):
    """Input data (a tape, a policy file) breaks a rule."""

    exit_code = 3


class StoreError(ArenaError):
    """A run's store is damaged, foreign or incompatible."""

    exit_code = 4


class SchemaVersionError(StoreError):
    """The store was written by a schema that this build cannot use."""


class BuildError(StoreError):
    """The run was recorded with other versions: it can be read and verified here, not played."""


class TamperedError(StoreError):
    """The recorded history does not verify."""


class DivergenceError(StoreError):
    """A recomputed round differs from the one that the ledger holds."""


class EnvironmentFault(ArenaError):
    """The machine stands in the way: disk full, read-only, locked, a missing extra."""

    exit_code = 5


class ActionError(ArenaError, ValueError):
    """An environment was given an action that nobody can take, or asked to step out of turn; its state is unharmed."""

    exit_code = 2


class InvariantError(ArenaError):
    """Money or identity would have been created or lost: the run stops at once."""


class StaleAgentError(ArenaError):
    """The agent behind this view is dead; its history is in the run's database."""
