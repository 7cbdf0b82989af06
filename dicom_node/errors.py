"""Errors that the node raises on purpose.

NodeError            a person can do something about it: the command line prints the message
├── AlreadyRunning   another node uses the same storage folder
├── CannotRepeat     a rerun is not possible: too little is still stored
└── EngineLost       the compute engine lost the task (worker died, hung or was restarted)
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
    """The compute engine lost the task: its worker died, hung or was restarted."""


class AssociationBroken(Exception):
    """The association, or the HTTP request, ended or broke its protocol in the midst of a message.

    There is nobody left to answer, or no answer to wait for.
    """
