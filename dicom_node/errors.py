"""Errors that the node raises on purpose.

NodeError            a person can do something about it: the command line prints the message
├── UsageError       the command line cannot be understood, or contradicts itself
├── Busy             too many ask for the same at a time: try again
├── AlreadyRunning   another node uses the same storage folder
├── CannotRepeat     a rerun is not possible: too little is still stored
├── NoNotice         it cannot be said in a notice why a series was not analysed
├── EngineLost       a worker of the engine died, hung or was restarted during the task
│   └── AlteredResult  what a worker handed back is not what it had made
├── EngineAway       the engine lost the task before a worker began it, or it is not there
│   ├── NoWorker     no worker may take a task at the moment
│   └── NotFetched   a worker could not fetch the files of its task
├── AlteredFile      a worker fetched a file that is not the one the node keeps
├── FolderAway       the storage folder is away or cannot be written: nothing may be judged by it
└── UnfitWorker      a worker of the engine cannot do the work of this node
AnalysisFault        an analysis broke off for a reason that nobody foresaw
AssociationBroken    the association ended, or broke its protocol, in the midst of a message

A module that raises a narrower kind of one of them defines it itself.
"""


class NodeError(Exception):
    """Base of the errors whose message a person needs."""


class UsageError(NodeError):
    """The words of a command line alone show that it cannot be meant so; nothing was done."""


class Busy(NodeError):
    """Too many people ask for the same at the same time; another try will do."""


class AlreadyRunning(NodeError):
    """Another node uses the same storage folder."""


class CannotRepeat(NodeError):
    """A rerun is not possible; the message says why, and what helps."""


class NoNotice(NodeError):
    """No notice can be made of a series; the message says why, without its values."""


class EngineLost(NodeError):
    """The worker that ran the task died, hung or was restarted."""


class AlteredResult(EngineLost):
    """What came back from a worker has another SHA-256 than what it had made."""


class EngineAway(NodeError):
    """No worker began the task: the engine is not there, or lost it."""


class NoWorker(EngineAway):
    """A task was not handed out: there is no worker that may take it at the moment."""


class NotFetched(EngineAway):
    """A worker could not fetch the files of its task, or had no room for them."""


class AlteredFile(NodeError):
    """A worker fetched a file whose SHA-256 is not the one that the node keeps."""


class FolderAway(NodeError):
    """The storage folder is not there, or cannot be written: a missing file says nothing."""


class UnfitWorker(NodeError):
    """A worker cannot do the work of this node; the message says why."""


class AnalysisFault(Exception):
    """An analysis broke off for a reason that nobody foresaw.

    Attributes
    ----------
    kind
        Type of the exception that broke it.
    places
        Where it arose (`dicom_node.log_tracebacks.described`), without its words.
    of_the_data
        Whether the same bytes raise it each time.
    of_the_worker
        Whether it may be for want of a file or a library that other workers have.
    """

    def __init__(
        self, kind: str, places: str, *, of_the_data: bool, of_the_worker: bool = False
    ) -> None:
        super().__init__(kind, places, of_the_data, of_the_worker)
        self.kind, self.places = kind, places
        self.of_the_data, self.of_the_worker = of_the_data, of_the_worker

    def __str__(self) -> str:
        return self.places

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes with the keyword arguments."""
        return _analysis_fault, self.args


def _analysis_fault(
    kind: str, places: str, of_the_data: bool, of_the_worker: bool
) -> AnalysisFault:
    return AnalysisFault(kind, places, of_the_data=of_the_data, of_the_worker=of_the_worker)


class AssociationBroken(Exception):
    """The association, or the HTTP request, ended or broke its protocol in the midst of a message.

    There is nobody left to answer, or no answer to wait for.
    """
