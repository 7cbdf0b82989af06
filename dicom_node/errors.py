"""Errors that the node raises on purpose.

NodeError            a person can do something about it: the command line prints the message
├── AlreadyRunning   another node uses the same storage folder
├── CannotRepeat     a rerun is not possible: too little is still stored
├── EngineLost       a worker of the engine died, hung or was restarted during the task
├── EngineAway       the engine lost the task before a worker began it, or it is not there
└── UnfitWorker      a worker of the engine cannot do the work of this node
AssociationBroken    the association ended, or broke its protocol, in the midst of a message

A module that raises a narrower kind of one of them defines it itself.
"""


class NodeError(Exception):
    """Base of the errors whose message a person needs."""


class AlreadyRunning(NodeError):
    """Another node uses the same storage folder."""


class CannotRepeat(NodeError):
    """A rerun is not possible; the message says why, and what helps."""


class EngineLost(NodeError):
    """The worker that ran the task died, hung or was restarted."""


class EngineAway(NodeError):
    """No worker began the task: the engine is not there, or lost it."""


class UnfitWorker(NodeError):
    """A worker cannot do the work of this node; the message says why."""


class AssociationBroken(Exception):
    """The association, or the HTTP request, ended or broke its protocol in the midst of a message.

    There is nobody left to answer, or no answer to wait for.
    """
