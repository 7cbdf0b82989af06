"""Why the node stopped.

NodeError
├── AlreadyRunning   another node uses the same storage folder
├── CannotReissue    nothing fit is kept to issue a result again from
└── EngineLost       the compute engine lost the task (worker died, hung or was restarted)
"""


class NodeError(Exception):
    """Base of everything the node raises on purpose."""


class AlreadyRunning(NodeError):
    """Another node uses the same storage folder."""


class CannotReissue(NodeError):
    """Nothing fit is kept to issue a result again from; the message says what helps."""


class EngineLost(NodeError):
    """The compute engine lost the task: its worker died, hung or was restarted."""
