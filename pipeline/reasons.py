"""Codes for every refusal, end and caution, each with its sentence for people.

The codes stand in results, in `dicom-node status` and in the database, so their text never
changes. They are strings: they compare, format and serialise as their text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Code(StrEnum):
    """A short, stable code.

    Attributes
    ----------
    sentence
        Its meaning for an administrator; names no patient.
    """

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member


class UnsuitableReason(_Code):
    """Reasons for which a series is not analysed: the meaning, and the remedy if there is one."""

    # the header, or the instances as a whole
    NO_INSTANCES = ("no-instances", "The series has no instances: send it again.")
    INSTANCES_REMOVED = (
        "instances-removed",
        "Instances came late, and the earlier ones are removed already: send the whole series"
        " again.",
    )
    OWN_RESULT = (
        "own-result",
        "The series is a result of this node that was sent back: leave results out of the"
        " routing rule.",
    )
    NO_ASSESSMENT = (
        "no-assessment",
        "The document is neither a rejection note nor an assessment of results that can be read:"
        " nothing to do.",
    )
    NOT_OUR_RESULT = (
        "not-our-result",
        "The document names no result of this node: nothing to do. What it says is kept, in case"
        " the result turns up.",
    )
    OTHER_PATIENT_OR_STUDY = (
        "other-patient-or-study",
        "The document is of another patient or study than the result that it names: what it says is"
        " kept and shown, and does not count. See who sent it.",
    )
    IMAGES_REJECTED = (
        "images-rejected",
        "A rejection note of the PACS names images of the series: nothing to do. After a"
        " revocation, dicom-node reprocess has it analysed.",
    )
    SWITCHED_OFF = (
        "switched-off",
        "The site has switched the analysis off: nothing to do. Once it is on again, dicom-node"
        " reprocess has the series analysed.",
    )
    NOT_CT = ("not-ct", "The series is not CT: nothing to do.")
    LOCALIZER = ("localizer", "The series is a localizer: nothing to do.")
    NOT_ORIGINAL = (
        "not-original",
        "The images are derived from others: send the original series, or set require_original"
        " to no.",
    )
    NOT_AXIAL = (
        "not-axial",
        "The slices are a projection, a reformation or tilted by more than 18 degrees: send the"
        " axial series.",
    )
    EXCLUDED_DESCRIPTION = (
        "excluded-description",
        "The site excludes this Series Description: change exclude_description if that is wrong.",
    )
    MISSING_ATTRIBUTE = (
        "missing-attribute",
        "An attribute that is needed is absent, empty or no number: look at the sender's export.",
    )
    UNREADABLE_INSTANCE = (
        "unreadable-instance",
        "An instance is no DICOM data set behind its first attributes: send the series again.",
    )
    MIXED_IDENTITY = (
        "mixed-identity",
        "The instances name several patients, studies or series: correct them at the sender.",
    )
    TWO_VOLUMES = (
        "two-volumes",
        "The series holds several volumes of one stretch of the body, and nothing says which is"
        " meant: send each as a series of its own.",
    )
    NO_PLANE = (
        "no-plane",
        "The images show no place in the patient, such as dose pages and screens: nothing to do.",
    )
    DUPLICATE_UID = (
        "duplicate-uid",
        "Two slices share a SOP Instance UID: correct them at the sender.",
    )
    # the geometry
    TOO_FEW_SLICES = (
        "too-few-slices",
        "The series has too few slices for a chest: send all of it, or lower min_slices.",
    )
    TOO_LITTLE_COVERAGE = (
        "too-little-coverage",
        "The series is too short for a chest: send all of it, or lower min_coverage_mm.",
    )
    SLICES_TOO_FAR_APART = (
        "slices-too-far-apart",
        "The slices lie too far apart: send the thin series, or raise max_spacing_mm.",
    )
    BAD_ORIENTATION = (
        "bad-orientation",
        "Image Orientation (Patient) is not two unit vectors at a right angle: look at the"
        " sender's export.",
    )
    BAD_SPACING = (
        "bad-spacing",
        "Pixel Spacing is not above 0, or is centimetres: look at the sender's export.",
    )
    BAD_POSITION = (
        "bad-position",
        "Image Position (Patient) lies metres away from the patient: look at the sender's export.",
    )
    MIXED_ORIENTATION = (
        "mixed-orientation",
        "The slices are not parallel: send each reconstruction as a series of its own.",
    )
    MIXED_SIZE = (
        "mixed-size",
        "The slices differ in rows or columns: send each reconstruction as a series of its own.",
    )
    MIXED_PIXEL_SPACING = (
        "mixed-pixel-spacing",
        "The slices differ in Pixel Spacing: send each reconstruction as a series of its own.",
    )
    MIXED_FRAME_OF_REFERENCE = (
        "mixed-frame-of-reference",
        "The slices have several frames of reference: send each as a series of its own.",
    )
    GANTRY_TILT = (
        "gantry-tilt",
        "The gantry was tilted, so the slices are sheared: send a series without tilt.",
    )
    OFF_AXIS = (
        "off-axis",
        "A slice lies aside of the others: look at the sender's export.",
    )
    UNEVEN_SPACING = (
        "uneven-spacing",
        "The slices are not evenly spaced: send the whole of one reconstruction.",
    )
    GAP = ("gap", "Too many slices are missing: send the whole series.")
    TOO_LARGE = (
        "too-large",
        "The volume is larger than this software holds: send a reconstruction with fewer slices.",
    )
    # the pixels
    PIXEL_DATA = (
        "pixel-data",
        "Pixel Data is absent, damaged or of a form that cannot be decoded: send the series"
        " again, if need be without compression.",
    )
    BAD_RESCALE = ("bad-rescale", "Rescale Slope is not above 0: look at the sender's export.")
    NOT_HOUNSFIELD = (
        "not-hounsfield",
        "Rescale Type names other units than Hounsfield's (electron density, atomic number, a"
        " material): send the series in HU.",
    )
    IMPLAUSIBLE_HU = (
        "implausible-hu",
        "The attenuation is not that of a chest: look at the images and at their rescale values.",
    )
    UNUSUAL_SPACING = (
        "unusual-spacing",
        "The slices are so near or so far apart that no result would be worth anything: send"
        " another reconstruction.",
    )
    UNUSUAL_NOISE = (
        "unusual-noise",
        "The images are so noisy that no result would be worth anything: send another"
        " reconstruction.",
    )
    LUNGS_NOT_FOUND = (
        "lungs-not-found",
        "No plausible lungs were found: look whether the series shows a whole chest.",
    )
    NO_LUNGS = (
        "no-lungs",
        "The mask of the lungs is empty: look whether the series shows a chest.",
    )


class QualityFlag(_Code):
    """Reasons to trust an analysis less: none changes the score, all stand in the report."""

    # the instances together
    IDENTITY_DIFFERS = (
        "identity-differs",
        "Some instances differ in an attribute that the study or the series has once: the results"
        " name what most say.",
    )
    INVALID_UID = (
        "invalid-uid",
        "The Study or Series Instance UID is no valid UID: other systems may refuse the results.",
    )
    TECHNIQUE_DIFFERS = (
        "technique-differs",
        "Some instances differ in kernel, voltage, position or another property that a volume has"
        " once.",
    )
    IMAGES_LEFT_OUT = (
        "images-left-out",
        "Images that may be slices were left out: faulty, or of another size, place or volume.",
    )
    # the scan
    BODY_PART = ("body-part", "Body Part Examined names a part of the body without lungs.")
    ORIENTATION = (
        "orientation",
        "The body lies otherwise than Image Orientation (Patient) says: right and left may be"
        " exchanged, and are left open.",
    )
    UNUSUAL_SPACING = ("unusual-spacing", "Slices or pixels lie unusually near or far apart.")
    UNUSUAL_NOISE = ("unusual-noise", "The images are unusually noisy or smooth.")
    UNUSUAL_KERNEL = ("unusual-kernel", "The kernel is unusually sharp or soft.")
    UNUSUAL_ATTENUATION = (
        "unusual-attenuation",
        "Soft tissue has an unusual attenuation: the scanner may be off.",
    )
    CONTRAST_MEDIUM = ("contrast-medium", "The blood holds contrast medium.")
    TRUNCATED_LUNGS = ("truncated-lungs", "The scan ends within the lungs.")
    ACQUISITION_UNMEASURED = (
        "acquisition-unmeasured",
        "A property of the scan could not be measured, so that it is not judged.",
    )
    # the lungs
    LUNGS_VOLUME = ("lungs-volume", "The lungs are unusually large or small.")
    LUNGS_ONE_ONLY = (
        "lungs-one-only",
        "Only one lung was found: the other is absent, without air, or was missed.",
    )
    LUNGS_SIDE_OPEN = (
        "lungs-side-open",
        "It is not clear which lung is the right one and which the left: the side is left open.",
    )
    LUNGS_RATIO = ("lungs-ratio", "One lung is unusually large beside the other.")
    LUNGS_HEIGHT = ("lungs-height", "The lungs are unusually tall or short.")
    LUNGS_ATTENUATION = ("lungs-attenuation", "The lungs are unusually dense or airy.")
    LUNGS_AT_EDGE = ("lungs-at-edge", "The field of view cuts the lungs.")
    LUNGS_PROFILE = (
        "lungs-profile",
        "The area of the lungs has a dip between two slices: a part of them was missed.",
    )
    LUNGS_APEX = (
        "lungs-apex",
        "The top of a lung was missed or holds no air, or one ends far below the other.",
    )
    LUNGS_BASE = (
        "lungs-base",
        "The base of a lung was missed or holds no air, or one ends far above the other.",
    )
    LUNGS_FLUID = (
        "lungs-fluid",
        "Fluid or airless lung lies between a lung and the ribs at the back: it is not counted as"
        " lung.",
    )
    LUNGS_FREE_GAS = (
        "lungs-free-gas",
        "A lung holds a large pocket of free gas: pneumothorax, bulla, stomach or bowel.",
    )
    LUNGS_OUTSIDE_BODY = ("lungs-outside-body", "A part of the lungs found lies outside the body.")
    LUNGS_METHODS_DISAGREE = ("lungs-methods-disagree", "Two methods found different lungs.")
    LUNGS_CROSS_CHECK = ("lungs-cross-check", "A third method found other lungs than these.")
    # the score
    UNLIKE_TRAINING_DATA = (
        "unlike-training-data",
        "The classifier's features lie far from those of its training's kind of cases, or what it"
        " sees of the lungs has no order, as noise.",
    )
    SCORE_UNCERTAIN = (
        "score-uncertain",
        "The prediction set holds both answers, or none: the model cannot tell.",
    )
    THRESHOLD_AGAINST_SET = (
        "threshold-against-set",
        "The prediction set holds one answer, and the threshold in use calls the other.",
    )
    UNREPORTED_CHANGES = (
        "unreported-changes",
        "Changes are present that are not outlined: the classifier does not call them"
        " COVID-19-like, or the score is indeterminate.",
    )


class FailedReason(_Code):
    """Failures that need a person; the sentence is the text of the notice."""

    ANALYSIS_FAILED = (
        "analysis-failed",
        "The analysis did not come to an end; the node's administrator can see why",
    )
    MODEL_FAULT = ("model-fault", "The model of the AI could not be used")
    OUTGOING_CHECK = (
        "outgoing-check",
        "The results did not pass the check before they are sent",
    )


class RefusedReason(_Code):
    """Reasons for which something is refused before it is received, each with its remedy."""

    SOP_CLASS_NOT_ACCEPTED = (
        "SOP class not accepted",
        "This node takes CT, and answers to its results (Key Object Selections and SR, see"
        " [node] feedback): route nothing else to it.",
    )
    TRANSFER_SYNTAX_NOT_SUPPORTED = (
        "transfer syntax not supported",
        "The sender offers CT in encodings only that cannot be decoded: have it offer Explicit VR"
        " Little Endian too.",
    )
    PROPOSES_MORE_THAN_WE_TAKE = (
        "proposes more than we take",
        "The sender proposes every SOP class it knows: nothing to do while its CT arrives.",
    )
    NOT_OF_THE_STUDY_ADDRESSED = (
        "not of the study addressed",
        "A STOW-RS request names one study and holds an instance of another: correct the sender.",
    )
    NO_VALID_BEARER_TOKEN = (
        "no valid bearer token",
        "A STOW-RS request comes without the token this node expects: give it to the sender.",
    )


class ClosedBy(_Code):
    """Proofs by which a series was taken for complete; the sentence stands in the report.

    How much each is worth: `dicom_node.closing.decision`.
    """

    PROCEDURE_STEP = (
        "procedure-step",
        "Complete: the scanner ended the procedure and named these images.",
    )
    WORK_ITEM = ("work-item", "Complete: the worklist named these images as its input.")
    AVAILABILITY = ("availability", "Complete: an archive named these images as available.")
    ARCHIVE_COUNT = ("archive-count", "Complete: an archive counted as many images, twice.")
    ANNOUNCED = ("announced-count", "Read when the announced images were here.")
    REGULAR_STACK = (
        "regular-stack",
        "Read when every transfer had ended and both end slices lay outside the lungs.",
    )
    QUIET = ("quiet", "Read when no image had come for a while.")
    LACKING = (
        "lacking",
        "Incomplete: the scanner, the worklist or an archive told of images that have not come.",
    )
