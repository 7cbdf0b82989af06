"""Why the node stopped.

NodeError
├── AlreadyRunning   another node uses the same storage folder
└── EngineLost       the compute engine lost the task (worker died, hung or was restarted)
"""


class NodeError(Exception):
    """Base of everything the node raises on purpose."""


class AlreadyRunning(NodeError):
    """Another node uses the same storage folder."""


class EngineLost(NodeError):
    """The compute engine lost the task: its worker died, hung or was restarted."""
