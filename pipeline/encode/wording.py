"""The sentences that every result uses: report, heatmap and summary say the same.

All of it is ASCII, which every Specific Character Set holds.
"""

from __future__ import annotations

from pipeline.types import Analysis, Classification, CtSeries, Provenance

RESEARCH_NOTICE = "Research use only. Not for primary diagnosis."
RESEARCH_FOOTER = "AI, research use only, not for primary diagnosis"
DERIVED_FRAME_OF_REFERENCE = (
    "The source has no Frame of Reference UID: one was derived for the results."
)


def ascii_text(text: str) -> str:
    """Text without what a character set may lack; question marks stand for it."""
    spelled = text.replace("\u00b3", "3").replace("\u00b2", "2").replace("\u00b5", "u")
    return spelled.encode("ascii", "replace").decode("ascii")


def number(value: float, digits: int) -> str:
    """Fixed-point number, never a negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def decision(classification: Classification) -> str:
    """How the score stands to the threshold; never a diagnosis."""
    return "score above threshold" if classification.positive else "score not above threshold"


def score_line(classification: Classification) -> str:
    """Score, threshold and decision on one line.

    Score and threshold are shown with so many digits that rounding cannot contradict the decision.
    """
    digits = _telling_digits(classification.score, classification.threshold)
    return (
        f"score {number(classification.score, digits)}, "
        f"threshold {number(classification.threshold, digits)} "
        f"({ascii_text(classification.operating_point)}): {decision(classification)}"
    )


def certainty(classification: Classification) -> str:
    """Which classes the score leaves open, as a clause to go behind the score; may be empty."""
    found = classification.prediction_set
    return "" if found is None else f"; {found.words}"


def _telling_digits(score: float, threshold: float) -> int:
    for digits in range(2, 7):
        if score == threshold or number(score, digits) != number(threshold, digits):
            return digits
    return 9


def percent(share: float) -> str:
    """Share as percentage with one decimal."""
    return f"{number(100 * share, 1)} %"


def model_line(provenance: Provenance) -> str:
    """Name and version of the model."""
    return ascii_text(f"{provenance.model_name}, version {provenance.model_version}")


def involvement_sentence(analysis: Analysis) -> str:
    """Say what was localised, in numbers."""
    involved = analysis.involvement
    if not analysis.lesions:
        return "No opacity localised."
    largest = max(analysis.lesions, key=lambda lesion: lesion.volume_mm3)
    noun = "opacity" if len(analysis.lesions) == 1 else "opacities"
    return (
        f"{len(analysis.lesions)} {noun} localised, {percent(involved.total)} of both lungs "
        f"(right {percent(involved.right)}, left {percent(involved.left)}), largest "
        f"{number(largest.volume_mm3 / 1000, 1)} ml in the {largest.side} lung."
    )


def completeness_sentence(series: CtSeries) -> str:
    """Verdict of the geometry."""
    geometry = series.geometry
    return ascii_text(geometry.statement or f"Series {geometry.completeness}.")


def quality_sentences(series: CtSeries, analysis: Analysis) -> tuple[str, ...]:
    """Doubts that a reader should know of."""
    codes = tuple(dict.fromkeys((*analysis.flags, *analysis.lungs.flags)))
    flags = (f"Flags: {', '.join(codes)}.",) if codes else ()
    figures = (f"{doubt.code}: {doubt.text}." for doubt in analysis.doubts)
    derived = () if series.volume.frame_of_reference_uid else (DERIVED_FRAME_OF_REFERENCE,)
    sentences = (*flags, *figures, *derived) or ("No flag raised.",)
    return tuple(ascii_text(sentence) for sentence in sentences)


def ready_sentence(series: CtSeries, analysis: Analysis) -> str:
    """One paragraph that a reporting system can take over."""
    return (
        f"AI ({model_line(analysis.provenance)}): COVID-19 classifier "
        f"{score_line(analysis.classification)}{certainty(analysis.classification)}. "
        f"{involvement_sentence(analysis)} "
        f"{completeness_sentence(series)} {RESEARCH_NOTICE}"
    )
