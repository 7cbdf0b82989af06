"""Sentences shared by report, heatmap and summary, so that all results say the same.

All of it is ASCII, which every Specific Character Set holds.
"""

from __future__ import annotations

from pipeline.encode.result.identity import Prior
from pipeline.encode.source.series_name import series_name
from pipeline.types import Analysis, Classification, CtSeries, Involvement, Lesion, Provenance

RESEARCH_NOTICE = "Research use only. Not for primary diagnosis."
RESEARCH_FOOTER = "AI, research use only, not for primary diagnosis"
SCORE_MEANING = (
    "The score is the calibrated output of the model for the class COVID-19, from 0 to 1. It is "
    "not the probability that this patient is ill: that depends on how common the disease is."
)
DERIVED_FRAME_OF_REFERENCE = (
    "The source has no Frame of Reference UID: one was derived for the results."
)
NOT_REPORTED = "Opacities are not reported: the score is not above the threshold."
UNREPORTED = "opacities: not reported"
RELATIVE = "activation: relative within this series"
HEATMAP_MEANING = (
    "The colours of the heatmap are relative within this series: 1 is its highest activation, "
    "whatever the score, so series do not compare. Where the score is not above the threshold, "
    "they are muted."
)

LEAST_SHARE = 0.0005  #: smaller ones would be rounded to 0.0 %


def ascii_text(text: str) -> str:
    """Text in ASCII; question marks stand for characters without a spelling in it."""
    spelled = text.replace("\u00b3", "3").replace("\u00b2", "2").replace("\u00b5", "u")
    return spelled.encode("ascii", "replace").decode("ascii")


def number(value: float, digits: int) -> str:
    """Fixed-point number, never a negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def decision(classification: Classification) -> str:
    """Compare the score with the threshold, in words; never a diagnosis."""
    return "score above threshold" if classification.positive else "score not above threshold"


def score_line(classification: Classification) -> str:
    """Score, threshold and decision on one line.

    Score and threshold are shown with so many digits that rounding cannot contradict the decision.
    """
    digits = telling_digits(classification.score, classification.threshold)
    return (
        f"score {number(classification.score, digits)}, "
        f"threshold {number(classification.threshold, digits)} "
        f"({ascii_text(classification.operating_point)}): {decision(classification)}"
    )


def certainty(classification: Classification) -> str:
    """Clause to go behind the score: the classes that it leaves open; may be empty."""
    found = classification.prediction_set
    return "" if found is None else f"; {found.words}"


def promise_sentences(classification: Classification) -> tuple[str, ...]:
    """State the promise of the prediction set; empty if there is none."""
    found = classification.prediction_set
    if found is None:
        return ()
    promise = (
        f"For at least {100 * found.coverage:g} % of the cases of each class, their own class is "
        "among those that the score leaves possible, if they are like the cases that the model "
        "was calibrated on"
    )
    return (f"The score: {found.words}. {promise}.",)


def telling_digits(score: float, threshold: float) -> int:
    """Digits with which score and threshold differ as shown, if they differ."""
    for digits in range(2, 7):
        if score == threshold or number(score, digits) != number(threshold, digits):
            return digits
    return 9


def percent(share: float | None) -> str:
    """Share as percentage with one decimal; never 0.0 % where there is something."""
    if share is None:
        return "not reported"
    if 0 < share < LEAST_SHARE:
        return "<0.1 %"
    return f"{number(100 * share, 1)} %"


def model_line(provenance: Provenance) -> str:
    """Name and version of the model."""
    return ascii_text(f"{provenance.model_name}, version {provenance.model_version}")


def model_key(provenance: Provenance) -> str:
    """Name and version, as `Prior.model` holds them."""
    return f"{provenance.model_name} {provenance.model_version}"


def involvement_sentence(analysis: Analysis) -> str:
    """State number and extent of the localised opacities."""
    involved = analysis.involvement
    if involved.total is None:
        return NOT_REPORTED
    if not analysis.lesions:
        return "No opacity localised."
    largest = max(analysis.lesions, key=lambda lesion: lesion.volume_mm3)
    where = f" in the {largest.side} lung" if largest.side else ""
    noun = "opacity" if len(analysis.lesions) == 1 else "opacities"
    return (
        f"{len(analysis.lesions)} {noun} localised, {_involved(involved)}, largest "
        f"{number(largest.volume_mm3 / 1000, 1)} ml{where}."
    )


def _involved(involved: Involvement) -> str:
    """State the shares taken, of the lungs that were found."""
    total = percent(involved.total)
    if involved.open_ml:
        return f"{total} of the lungs (right and left not told apart)"
    if involved.right is None:
        return f"{total} of the left lung (no right lung found)"
    if involved.left is None:
        return f"{total} of the right lung (no left lung found)"
    return f"{total} of both lungs (right {percent(involved.right)}, left {percent(involved.left)})"


def lung_volume_sentence(involved: Involvement) -> str:
    """State the volumes of the lungs that were found; none of one that was not."""
    volumes = (
        ("right", involved.right_ml),
        ("left", involved.left_ml),
        ("side open", involved.open_ml),
    )
    found = [f"{name} {number(volume, 0)} ml" for name, volume in volumes if volume]
    missing = [
        f"no {name} lung found" for name, volume in volumes[:2] if not volume + involved.open_ml
    ]
    return f"Lung volume {number(involved.total_ml, 0)} ml ({', '.join([*found, *missing])})."


def place_of(lesion: Lesion) -> str:
    """Side of an opacity in words."""
    return f"{lesion.side} lung" if lesion.side else "side open"


def lesion_sentence(lesion: Lesion, place: str) -> str:
    """Describe one opacity in a line.

    Parameters
    ----------
    place
        Image that shows it best; empty if none does.
    """
    image = f", {place}" if place else ""
    return (
        f"Opacity {lesion.number}: {place_of(lesion)}, "
        f"{number(lesion.volume_mm3 / 1000, 1)} ml, mean {number(lesion.mean_hu, 0)} HU{image}."
    )


def rest_sentence(lesions: tuple[Lesion, ...]) -> str:
    """Describe together the opacities that have no line of their own."""
    volume = sum(lesion.volume_mm3 for lesion in lesions) / 1000
    noun = "opacity" if len(lesions) == 1 else "opacities"
    return f"{len(lesions)} further {noun}, {number(volume, 1)} ml together."


def source_sentence(series: CtSeries) -> str:
    """Name the series that was read."""
    return f"Read: CT {series_name(series.common.header)}."


def completeness_sentence(series: CtSeries) -> str:
    """Completeness of the series, as its geometry tells."""
    geometry = series.geometry
    return ascii_text(geometry.statement or f"Series {geometry.completeness}.")


def quality_sentences(series: CtSeries, analysis: Analysis) -> tuple[str, ...]:
    """State flags and doubts that a reader should know of."""
    codes = tuple(dict.fromkeys((*analysis.flags, *analysis.lungs.flags)))
    flags = (f"Flags: {', '.join(codes)}.",) if codes else ()
    figures = (f"{doubt.code}: {doubt.text}." for doubt in analysis.doubts)
    derived = () if series.volume.frame_of_reference_uid else (DERIVED_FRAME_OF_REFERENCE,)
    sentences = (*flags, *figures, *derived) or ("No flag raised.",)
    return tuple(ascii_text(sentence) for sentence in sentences)


def prior_sentences(analysis: Analysis, priors: tuple[Prior, ...]) -> tuple[str, ...]:
    """Compare with each earlier result of the patient, in the order given.

    The difference is that of the figures shown. Scores are compared only within one model.
    """
    return tuple(_prior_sentence(analysis, prior) for prior in priors)


def _prior_sentence(analysis: Analysis, prior: Prior) -> str:
    same = prior.model == model_key(analysis.provenance)
    model = "same model" if same else f"another model, {ascii_text(prior.model)}"
    return (
        f"Compared with {prior.study_date.isoformat()} ({model}): share of both lungs taken "
        f"{_shares(prior.total, analysis.involvement.total)}{_scores(analysis, prior, same)}."
    )


def _shares(before: float | None, now: float | None) -> str:
    shown = f"{percent(before)} -> {percent(now)}"
    if before is None or now is None:
        return shown
    change = round(100 * now, 1) - round(100 * before, 1)
    return f"{shown} ({round(change, 1) + 0.0:+.1f} percentage points)"


def _scores(analysis: Analysis, prior: Prior, same_model: bool) -> str:
    if not same_model:
        return "; scores of different models do not compare"
    found = analysis.classification
    digits = max(
        telling_digits(found.score, found.threshold),
        telling_digits(prior.score, prior.threshold),
    )
    scores = f", score {number(prior.score, digits)} -> {number(found.score, digits)}"
    if prior.threshold == found.threshold:
        return scores
    limits = f"{number(prior.threshold, digits)} -> {number(found.threshold, digits)}"
    return f"{scores}, threshold {limits}"


def ready_sentence(series: CtSeries, analysis: Analysis, priors: tuple[Prior, ...] = ()) -> str:
    """One paragraph that a reporting system can take over.

    Parameters
    ----------
    priors
        Earlier results of the patient, the latest first: the only one that is named.
    """
    compared = "".join(f"{sentence} " for sentence in prior_sentences(analysis, priors[:1]))
    return (
        f"AI ({model_line(analysis.provenance)}) on {series_name(series.common.header)}: "
        f"COVID-19 classifier "
        f"{score_line(analysis.classification)}{certainty(analysis.classification)}. "
        f"{involvement_sentence(analysis)} {compared}"
        f"{completeness_sentence(series)} {RESEARCH_NOTICE}"
    )
