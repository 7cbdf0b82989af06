"""Coded concepts: of SNOMED CT, DCM, UCUM and others, else of the private scheme."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.coding import Code

from pipeline.encode.language.languages import Language
from pipeline.types import ScoreClass, Side

PRIVATE_SCHEME = "99DICOMNODE"
"""Private Coding Scheme Designator; ``99`` is reserved for private ones (PS3.16 8.2)."""

LUNG = Code("39607008", "SCT", "Lung")
RIGHT_LUNG = Code("3341006", "SCT", "Right lung")
LEFT_LUNG = Code("44029006", "SCT", "Left lung")
OPACITY = Code("112001", "DCM", "Opacity")
GROUND_GLASS = Code("112120", "DCM", "Ground glass opacity")
CONSOLIDATION = Code("95436008", "SCT", "Lung consolidation")
ORGAN = Code("113343008", "SCT", "Organ")
CHEST = Code("51185008", "SCT", "Chest")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
BACKGROUND = Code("125040", "DCM", "Background")
LATERALITY = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.LEFT: Code("7771000", "SCT", "Left"),
}
UPPER_LOBE = Code("45653009", "SCT", "Upper lobe of lung")
MIDDLE_LOBE = Code("72481006", "SCT", "Middle lobe of right lung")
LOWER_LOBE = Code("90572001", "SCT", "Lower lobe of lung")
LUNG_OF = {Side.RIGHT: RIGHT_LUNG, Side.LEFT: LEFT_LUNG}

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
AREA = Code("42798000", "SCT", "Area")
MEAN = Code("373098007", "SCT", "Mean")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")

MILLILITRE = Code("mL", "UCUM", "milliliter")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
DIRECTION_COSINE = Code("{-1:1}", "UCUM", "{-1:1}")

ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
CT_CHEST = Code("24627-2", "LN", "CT Chest")
"""Procedure reported where the source has no code of its own; CID 100 is extensible."""

IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
AMERICAN_ENGLISH = Code("en-US", "RFC5646", "English (United States)")
DEVICE = Code("121007", "DCM", "Device")
FINDINGS = Code("121070", "DCM", "Findings")
PREVIOUS_FINDINGS = Code("121068", "DCM", "Previous Findings")
PROCEDURE_DESCRIPTIONS = Code("121064", "DCM", "Current Procedure Descriptions")
CONCLUSIONS = Code("121076", "DCM", "Conclusions")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
COMMENT = Code("121106", "DCM", "Comment")
ILLUSTRATION_OF_ROI = Code("121200", "DCM", "Illustration of ROI")

OF_INTEREST_SERIES = Code("113000", "DCM", "Of Interest")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
UNSPECIFIED_CALCULATION = Code("112187", "DCM", "Unspecified method of calculation")
REJECTED_FOR_QUALITY = Code("113001", "DCM", "Rejected for Quality Reasons")
KEY_OBJECTS_OF_INTEREST = Code("113000", "DCM", "Of Interest")
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
SOURCE = Code("260753009", "SCT", "Source")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
TARGET_REGION = Code("123014", "DCM", "Target Region")
STUDY_DATE = Code("111060", "DCM", "Study Date")
STUDY_TIME = Code("111061", "DCM", "Study Time")
ACQUISITION_DATE = Code("126201", "DCM", "Acquisition Date")
ACQUISITION_TIME = Code("126202", "DCM", "Acquisition Time")
HORIZONTAL_PIXEL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
SPACING_BETWEEN_SLICES = Code("112226", "DCM", "Spacing between slices")
SLICE_THICKNESS = Code("112225", "DCM", "Slice Thickness")
IMAGE_ORIENTATION = tuple(
    Code(str(110904 + index), "DCM", f"Image Orientation (Patient) {axis}")
    for index, axis in enumerate(
        ("Row X", "Row Y", "Row Z", "Column X", "Column Y", "Column Z"),
    )
)
"""In the order of the values of Image Orientation (Patient)."""
MODALITY = Code("121139", "DCM", "Modality")
COMPUTED_TOMOGRAPHY = Code("CT", "DCM", "Computed Tomography")
FRAME_OF_REFERENCE = Code("112227", "DCM", "Frame of Reference UID")
ROWS = Code("110910", "DCM", "Pixel Data Rows")
COLUMNS = Code("110911", "DCM", "Pixel Data Columns")


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


# Viewers write meaning and value on the image, so measurements have a short meaning.
SCORE = _private("SCORE", "COVID-19 score")
THRESHOLD = _private("THRESHOLD", "Threshold")
DECISION = _private("DECISION", "Score against threshold, not a diagnosis")
ABOVE = _private("ABOVE", "Score above threshold")
NOT_ABOVE = _private("NOT-ABOVE", "Score not above threshold")
INDETERMINATE = _private("INDETERMINATE", "Score indeterminate")
BELOW = _private("BELOW", "Score below the indeterminate range")
INDETERMINATE_FROM = _private("INDET-FROM", "Indeterminate from here to threshold")
COVERAGE = _private("COVERAGE", "Coverage of the prediction set")
PREDICTION_SET = _private("SET", "Classes that the score leaves open (prediction set)")
PREDICTION_SETS = {
    frozenset(): _private("SET-NEITHER", "Score unlike either class"),
    frozenset({ScoreClass.NEGATIVE}): _private("SET-NEGATIVE", "Negative class only"),
    frozenset({ScoreClass.POSITIVE}): _private("SET-POSITIVE", "Positive class only"),
    frozenset(ScoreClass): _private("SET-BOTH", "Both classes: the score does not decide"),
}
PROMISE = _private("PROMISE", "Promise of the prediction set")
SCORE_MEANING = _private("MEANING", "Meaning of the score")
CLASSIFIER_OUTPUT = _private("CLASSIFIER", "Output of an image classifier, not a diagnosis")
ACTIVATION = _private("ACTIVATION", "Activation")
ACTIVATION_MAP = _private("ACTIVATION-MAP", "Classifier activation, relative within the series")
SHARE = _private("SHARE", "Opacities")
GROUND_GLASS_VOLUME = _private("GROUND-GLASS", "Ground glass (below -300 HU)")
CONSOLIDATION_VOLUME = _private("CONSOLIDATION", "Consolidation (from -300 HU, with vessels)")
OPACITY_KIND = _private("KIND", "Kind of opacity that prevails (by -300 HU)")
LOW_ATTENUATION = _private("LOW-ATTENUATION", "Low attenuation")
LOBE_VOLUME = _private("LOBE-VOLUME", "Volume of the lobe")
LOBE_SHARE = _private("LOBE-SHARE", "Opacities of the lobe")
LOBE_SEVERITY = _private("LOBE-SEVERITY", "CT severity score of the lobe (0-5)")
SEVERITY = _private("SEVERITY", "CT severity score (0-25)")
LOBES = _private("LOBES", "Lobes")
LESION_COUNT = _private("COUNT", "Opacities counted")
CHANGES = _private("CHANGES", "Changes that are not outlined")
CHANGES_PRESENT = _private("CHANGES-PRESENT", "Changes present, not outlined")
CHANGES_SHARE = _private("CHANGES-SHARE", "Changes, not outlined")
CHANGES_LARGEST = _private("CHANGES-LARGEST", "Largest change, not outlined")
CHANGES_SOLID = _private("CHANGES-SOLID", "Largest solid change, not outlined")
SHARE_CHANGE = _private("SHARE-CHANGE", "Change of opacities")
SCORE_CHANGE = _private("SCORE-CHANGE", "Change of score")
COMPARISON = _private("COMPARISON", "Comparison with an earlier result")
OPERATING_POINT = _private("OPERATING", "Operating point")
COMPLETENESS = _private("COMPLETE", "Completeness of the series")
QUALITY = _private("QUALITY", "Quality of input and steps")
LUNG_METHOD = _private("LUNG-METHOD", "Method of lung segmentation")
NOTICE = _private("NOTICE", "Intended use")
SENTENCE = _private("SENTENCE", "Ready sentence for the report")
LUNGS = _private("LUNGS", "Lungs")
OPACITIES = _private("OPACITIES", "Opacities")
LIMITS = _private("LIMITS", "Limits")
HEATMAP_READING = _private("HEATMAP-READING", "Reading of the heatmap")
SERIES_READ = _private("SERIES-READ", "Series")
STATUS = _private("STATUS", "Status")

PRELIMINARY_TEXT = _private("PRELIMINARY-TEXT", "Preliminary text of an AI, not a report")
HEATMAP_SERIES = _private("HEATMAP", "Heatmap of the classifier's activation on CT")
ACTIVATION_SERIES = _private("ACTIVATIONS", "Map of the classifier's activation")
NOTICE_SERIES = _private("NOT-ANALYSED", "Notice that a series was not analysed")
SUMMARY_SERIES = _private("SUMMARY-PAGE", "Summary page of an analysis by AI")


def language(spoken: Language) -> Code:
    """Language of content (TID 1204, CID 5000)."""
    if spoken is Language.ENGLISH:
        return AMERICAN_ENGLISH
    return Code(str(spoken), "RFC5646", spoken.name.capitalize())


def code_item(code: Code) -> Dataset:
    """Item of a Code Sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def private_scheme(organisation: str) -> Dataset:
    """Item of Coding Scheme Identification Sequence for the private codes (PS3.3 C.12.1.1.9)."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "Private codes of the chest CT DICOM node"
    item.CodingSchemeResponsibleOrganization = organisation
    return item
