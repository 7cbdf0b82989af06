"""Service SOP classes, and the transfer syntaxes accepted from senders.

SOP classes of received instances: `pipeline.series.sop_classes`; of results:
`pipeline.encode.result.kinds`.
"""

from __future__ import annotations

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepWatch,
    Verification,
)

from pipeline.series.sop_classes import DOCUMENT_CLASSES

VERIFICATION = Verification
STORAGE_COMMITMENT = StorageCommitmentPushModel
PERFORMED_STEP = ModalityPerformedProcedureStep
INSTANCE_AVAILABILITY = InstanceAvailabilityNotification
NOTIFICATION_CLASSES = (PERFORMED_STEP, INSTANCE_AVAILABILITY)
WORK_ITEM = UnifiedProcedureStepPush  #: SOP class of every work item, PS3.4 CC.3.1
WORKLIST_PULL = UnifiedProcedureStepPull
WORKLIST_WATCH = UnifiedProcedureStepWatch
WORKLIST_EVENT = UnifiedProcedureStepEvent
PLAIN_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
"""For services whose data sets are read here: a deflated one could inflate without end."""

STUDY_ROOT_FIND = StudyRootQueryRetrieveInformationModelFind
STUDY_ROOT_MOVE = StudyRootQueryRetrieveInformationModelMove

ACCEPTED_TRANSFER_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
    RLELossless,
)
"""Transfer syntaxes of received images, which are kept as they were sent."""
DOCUMENT_TRANSFER_SYNTAXES = ACCEPTED_TRANSFER_SYNTAXES[:4]  #: without compressed pixels


def transfer_syntaxes_of(sop_class_uid: str) -> tuple[UID, ...]:
    """Transfer syntaxes in which instances of a SOP class are received."""
    is_document = sop_class_uid in DOCUMENT_CLASSES
    return DOCUMENT_TRANSFER_SYNTAXES if is_document else ACCEPTED_TRANSFER_SYNTAXES
