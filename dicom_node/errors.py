"""Why the node stopped.

NodeError
├── AlreadyRunning   another node uses the same storage folder
├── CannotRepeat     what a person wishes once more cannot be done: not enough is kept
└── EngineLost       the compute engine lost the task (worker died, hung or was restarted)
"""


class NodeError(Exception):
    """Base of everything the node raises on purpose."""


class AlreadyRunning(NodeError):
    """Another node uses the same storage folder."""


class CannotRepeat(NodeError):
    """What a person wishes once more cannot be done; the message says why, and what helps."""


class EngineLost(NodeError):
    """The compute engine lost the task: its worker died, hung or was restarted."""


class ReceptionBroken(Exception):
    """The data set ended before its end: there is nobody to answer to."""
