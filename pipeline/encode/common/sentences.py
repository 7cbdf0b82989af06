"""Sentences shared by report, heatmap and summary, so that all results say the same.

They are written in the language of the context (`pipeline.encode.language`); constants are
translated by `_` where they are used. English ones are ASCII, which every Specific Character Set
holds; so is what comes from elsewhere, such as names.
"""

from __future__ import annotations

from pipeline.encode.language.measured import measured
from pipeline.encode.language.translation import (
    _,
    day,
    in_ascii,
    ngettext,
    number,
    with_decimal_mark,
)
from pipeline.encode.result.identity import Prior
from pipeline.encode.source.series_name import series_name
from pipeline.lobar_extent import Fissure, LobarExtent, Lobe
from pipeline.low_attenuation import LOW_ATTENUATION_MAX_HU
from pipeline.opacity_content import CONSOLIDATION_MIN_HU, content_of
from pipeline.reasons import QualityFlag
from pipeline.types import (
    Analysis,
    Answer,
    Classification,
    CtSeries,
    Doubt,
    Involvement,
    Lesion,
    PredictionSet,
    Provenance,
    ScoreClass,
    Side,
    Unreported,
)

__all__ = ["number"]

RESEARCH_NOTICE = "Research use only. Not for primary diagnosis."
RESEARCH_SHORT = "AI, research use only"
RESEARCH_FOOTER = "AI, research use only, not for primary diagnosis"
SCORE_MEANING = (
    "The score is the calibrated output of the model for the class COVID-19, from 0 to 1. It is "
    "not the probability that this patient is ill: that depends on how common the disease is."
)
NOT_ASSESSED = (
    "Not assessed: nodules, masses, pulmonary emboli, pleural effusion, lymph nodes, airways, "
    "heart, bones, and all that lies outside the lungs."
)
"""The software does not look for these, so its silence is no finding."""

DERIVED_FRAME_OF_REFERENCE = (
    "The source has no Frame of Reference UID: one was derived for the results."
)
NOT_REPORTED = "Opacities are not reported: the score is not above the threshold."
NOT_REPORTED_BELOW = "Opacities are not reported: the score is below the indeterminate range."
NOT_REPORTED_INDETERMINATE = "Opacities are not reported: the score is indeterminate."
UNREPORTED = "opacities: not reported"
NONE_MARKED = "opacities: none localised"
CHANGES_SHORT = "changes present, not outlined"
NOT_OUTLINED = "not outlined"
NONE_LOCALISED = "none localised"
OTHER_BOUNDS = "; the bounds of the answers were others"
RELATIVE = "activation: relative within this series"
HEATMAP_MEANING = (
    "The colours of the heatmap are relative within this series: 1 is its highest activation, "
    "whatever the score, so series do not compare. Where the score is indeterminate or below, "
    "they are muted."
)

NO_PROMISE = (
    "For this series that does not hold: its doubts set it apart from the cases of the calibration."
)
NO_DOUBTS_OF_LIKENESS = (
    QualityFlag.SCORE_UNCERTAIN,
    QualityFlag.THRESHOLD_AGAINST_SET,
    QualityFlag.UNREPORTED_CHANGES,
)
"""Doubts about what the score means; all others are about the series or the steps before it."""

LEAST_SHARE = 0.0005  #: smaller ones would be rounded to 0.0 %


def ascii_text(text: str) -> str:
    """Text in ASCII; question marks stand for characters without a spelling in it."""
    return in_ascii(text)


def decision(classification: Classification) -> str:
    """Say on which side the score lies, or that it is indeterminate; never a diagnosis."""
    answer = classification.answer
    if classification.indeterminate_from is None:
        is_above = answer is Answer.ABOVE
        return _("score above threshold") if is_above else _("score not above threshold")
    return {
        Answer.ABOVE: _("score above the indeterminate range"),
        Answer.INDETERMINATE: _("score indeterminate"),
        Answer.BELOW: _("score below the indeterminate range"),
    }[answer]


def figures_line(classification: Classification) -> str:
    """Score and what decides, with the name of the operating point.

    They are shown with so many digits that rounding cannot contradict the decision.
    """
    score = number(classification.score, digits_of(classification))
    return _("score {score}, {bounds}", score=score, bounds=bounds(classification))


def bounds(classification: Classification) -> str:
    """State the threshold, or the indeterminate range, and where it comes from."""
    digits = digits_of(classification)
    threshold = number(classification.threshold, digits)
    point = operating_point(classification)
    low = classification.indeterminate_from
    if low is None:
        return _("threshold {threshold} ({point})", threshold=threshold, point=point)
    return _(
        "indeterminate from {low} to {high} ({point})",
        low=number(low, digits),
        high=threshold,
        point=point,
    )


def digits_of(classification: Classification) -> int:
    """Digits with which the score differs, as shown, from every bound from which it differs."""
    low = classification.indeterminate_from
    bounds = [classification.threshold] if low is None else [low, classification.threshold]
    return max(telling_digits(classification.score, bound) for bound in bounds)


def score_line(classification: Classification) -> str:
    """Score, threshold and decision on one line."""
    return named(figures_line(classification), decision(classification))


def named(name: str, words: str) -> str:
    """Put a name and a colon before words, as the language does."""
    return _("{name}: {words}", name=name, words=words)


def operating_point(classification: Classification) -> str:
    """Name where the threshold comes from."""
    named = classification.operating_point
    known = {
        "site": _("site"),
        "default": _("default"),
        "prediction sets": _("prediction sets"),
        "prediction sets of the scanner group": _("prediction sets of the scanner group"),
    }
    return known.get(named) or ascii_text(named)


def certainty(analysis: Analysis) -> str:
    """Clause to go behind the score: the classes that it leaves open; may be empty."""
    words = certainty_words(analysis)
    return _("; {words}", words=words) if words else ""


def certainty_words(analysis: Analysis) -> str:
    """Say which classes the score leaves open, and if that cannot be trusted; may be empty."""
    found = analysis.classification.prediction_set
    if found is None:
        return ""
    words = _classes_words(found)
    return words if coverage_holds(analysis) else _("{words}: not valid here", words=words)


def coverage_holds(analysis: Analysis) -> bool:
    """Tell whether the promised coverage holds: for series like those of the calibration alone."""
    doubts = {*analysis.flags, *analysis.lungs.flags}
    return not doubts - set(NO_DOUBTS_OF_LIKENESS)


def _classes_words(found: PredictionSet) -> str:
    coverage = with_decimal_mark(f"{100 * found.coverage:g}")
    if not found.classes:
        return _("not certain: neither fits ({coverage} % coverage)", coverage=coverage)
    if len(found.classes) > 1:
        return _("not certain: both possible ({coverage} % coverage)", coverage=coverage)
    if found.classes[0] is ScoreClass.POSITIVE:
        return _("supports only 'positive' ({coverage} % coverage)", coverage=coverage)
    return _("supports only 'negative' ({coverage} % coverage)", coverage=coverage)


def promise_sentences(analysis: Analysis) -> tuple[str, ...]:
    """State the promise of the prediction set, and if it does not hold; empty if there is none."""
    found = analysis.classification.prediction_set
    if found is None:
        return ()
    promise = _(
        "The score: {words}. For at least {coverage} % of the cases of each class, their own class"
        " is among those that the score leaves possible, if they are like the cases that the model"
        " was calibrated on.",
        words=_classes_words(found),
        coverage=with_decimal_mark(f"{100 * found.coverage:g}"),
    )
    return (promise,) if coverage_holds(analysis) else (promise, _(NO_PROMISE))


def telling_digits(score: float, threshold: float) -> int:
    """Digits with which score and threshold differ as shown, if they differ."""
    for digits in range(2, 7):
        if score == threshold or number(score, digits) != number(threshold, digits):
            return digits
    return 9


def percent(share: float | None) -> str:
    """Share as percentage with one decimal; words where nothing was localised or is reported.

    Never 0.0 %: to have found none is not to have measured that there is none.
    """
    if share is None:
        return _("not reported")
    if share == 0:
        return _(NONE_LOCALISED)
    if 0 < share < LEAST_SHARE:
        return f"<{number(0.1, 1)} %"
    return f"{number(100 * share, 1)} %"


def millilitres(volume_mm3: float) -> str:
    """Volume with its unit, one decimal."""
    return f"{number(volume_mm3 / 1000, 1)} ml"


def changes(analysis: Analysis) -> str:
    """Say that there are changes, although nothing outlines them."""
    is_withheld = analysis.involvement.total is None
    if is_withheld and analysis.classification.answer is Answer.INDETERMINATE:
        return _("Changes present, not outlined because the score is indeterminate")
    return _("Changes present that the classifier does not call COVID-19-like")


def changes_alert() -> str:
    """Say the same in few words."""
    return beginning(_(CHANGES_SHORT))


def changes_figures(analysis: Analysis) -> str:
    """State the measures of opacities that are not reported."""
    found = analysis.unreported
    if found is None:
        return ""
    return _(
        "{share} of the lungs, the largest {volume}{solid}; not outlined, not listed."
        " Read the images.",
        share=percent(found.share),
        volume=millilitres(1000 * found.largest_ml),
        solid=_solid(found),
    )


def _solid(found: Unreported) -> str:
    """Name the largest solid change, which may be a mass, where there is one."""
    if not found.solid_ml:
        return ""
    if found.solid_ml == found.largest_ml:
        return _(" (solid)")
    return _(", the largest solid one {volume}", volume=millilitres(1000 * found.solid_ml))


def changes_line(share: float) -> str:
    """State the share of changes, briefly enough for the text that viewers write at an outline."""
    return _("Changes {share}", share=percent(share))


def changes_sentences(analysis: Analysis) -> tuple[str, ...]:
    """Say that there are changes, and their measures; nothing where there are none to name."""
    if analysis.unreported is None:
        return ()
    return (named(changes(analysis), changes_figures(analysis)),)


def beginning(words: str) -> str:
    """Words as the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def model_line(provenance: Provenance) -> str:
    """Name and version of the model."""
    return _(
        "{model}, version {version}",
        model=ascii_text(provenance.model_name),
        version=ascii_text(provenance.model_version),
    )


def model_key(provenance: Provenance) -> str:
    """Name and version, as `Prior.model` holds them."""
    return f"{provenance.model_name} {provenance.model_version}"


def involvement_sentence(analysis: Analysis) -> str:
    """State number and extent of the localised opacities."""
    involved = analysis.involvement
    if involved.total is None:
        return not_reported(analysis.classification)
    if not analysis.lesions:
        return _("No opacity localised.")
    return ngettext(
        "{n} opacity localised, {involved}, largest {largest}.",
        "{n} opacities localised, {involved}, largest {largest}.",
        len(analysis.lesions),
        involved=_involved(involved),
        largest=_largest(analysis.lesions),
    )


def not_reported(classification: Classification) -> str:
    """Say why opacities are not reported."""
    if classification.indeterminate_from is None:
        return _(NOT_REPORTED)
    if classification.answer is Answer.INDETERMINATE:
        return _(NOT_REPORTED_INDETERMINATE)
    return _(NOT_REPORTED_BELOW)


def _largest(lesions: tuple[Lesion, ...]) -> str:
    largest = max(lesions, key=lambda lesion: lesion.volume_mm3)
    volume = millilitres(largest.volume_mm3)
    if largest.side is None:
        return volume
    if largest.side is Side.RIGHT:
        return _("{volume} in the right lung", volume=volume)
    return _("{volume} in the left lung", volume=volume)


def _involved(involved: Involvement) -> str:
    """State the shares taken, of the lungs that were found."""
    total = percent(involved.total)
    if involved.open_ml:
        return _("{share} of the lungs (right and left not told apart)", share=total)
    if involved.right is None:
        return _("{share} of the left lung (no right lung found)", share=total)
    if involved.left is None:
        return _("{share} of the right lung (no left lung found)", share=total)
    return _(
        "{share} of both lungs (right {right}, left {left})",
        share=total,
        right=percent(involved.right),
        left=percent(involved.left),
    )


def lung_volume_sentence(involved: Involvement) -> str:
    """State the volumes of the lungs that were found; none of one that was not."""
    parts = []
    if involved.right_ml:
        parts.append(_("right {volume} ml", volume=number(involved.right_ml, 0)))
    if involved.left_ml:
        parts.append(_("left {volume} ml", volume=number(involved.left_ml, 0)))
    if involved.open_ml:
        parts.append(_("side open {volume} ml", volume=number(involved.open_ml, 0)))
    if not involved.right_ml + involved.open_ml:
        parts.append(_("no right lung found"))
    if not involved.left_ml + involved.open_ml:
        parts.append(_("no left lung found"))
    total = number(involved.total_ml, 0)
    return _("Lung volume {volume} ml ({parts}).", volume=total, parts=", ".join(parts))


def content_sentence(analysis: Analysis) -> str:
    """State how much of the opacities is ground glass and consolidation; empty if not measured."""
    found = content_of(analysis)
    if found is None or not analysis.lesions:
        return ""
    return _(
        "Ground glass {glass} ml, consolidation (from {least} HU, vessels included) {solid} ml.",
        least=number(CONSOLIDATION_MIN_HU, 0),
        glass=number(found.ground_glass_ml, 1),
        solid=number(found.consolidation_ml, 1),
    )


def low_attenuation_sentence(analysis: Analysis) -> str:
    """State how much of the lungs is of low attenuation; empty if not measured."""
    low = analysis.low_attenuation
    if low is None:
        return ""
    return _(
        "Low attenuation (below {limit} HU) {volume} ml.",
        limit=number(LOW_ATTENUATION_MAX_HU, 0),
        volume=number(low.total_ml, 0),
    )


def lobes_sentences(analysis: Analysis) -> tuple[str, ...]:
    """State the severity score, or why not, and the extent by lobe; empty if not asked for."""
    found = analysis.lobar
    if found is None:
        return ()
    if not found.fissures:
        return (_("Lobes not given: the lungs were not told apart."),)
    shares = "; ".join(
        _(
            "{lobe} ({volume} ml): {share}",
            lobe=lobe_name(one.lobe),
            volume=number(one.volume_ml, 0),
            share=percent(one.share),
        )
        for one in found.lobes
    )
    told = (_("Opacities by lobe (experimental): {shares}.", shares=shares),) if shares else ()
    return (_severity_sentence(found), *told)


def affected_lobes_sentence(analysis: Analysis) -> str:
    """Name the lobes with opacities, briefly enough for the page; empty if there are none."""
    lobes = () if analysis.lobar is None else analysis.lobar.lobes
    shares = "; ".join(
        _("{lobe} {share}", lobe=lobe_name(one.lobe), share=percent(one.share))
        for one in lobes
        if one.opaque_ml
    )
    return _("Lobes with opacities: {shares}.", shares=shares) if shares else ""


def _severity_sentence(found: LobarExtent) -> str:
    """State the CT severity score, or why it is not given."""
    if found.severity is not None:
        return _("CT severity score {score} of 25 (experimental).", score=found.severity)
    unseen = ", ".join(fissure_name(fissure) for fissure in found.unseen)
    if not unseen:
        return _("CT severity score not given: not all five lobes were found.")
    return _(
        "CT severity score not given: not seen well enough: {fissures}.",
        fissures=unseen,
    )


def lobe_name(lobe: Lobe) -> str:
    """Name a lobe."""
    return {
        Lobe.RIGHT_UPPER: _("right upper lobe"),
        Lobe.RIGHT_MIDDLE: _("right middle lobe"),
        Lobe.RIGHT_LOWER: _("right lower lobe"),
        Lobe.LEFT_UPPER: _("left upper lobe"),
        Lobe.LEFT_LOWER: _("left lower lobe"),
    }[lobe]


def fissure_name(fissure: Fissure) -> str:
    """Name a fissure."""
    return {
        Fissure.RIGHT_OBLIQUE: _("right oblique fissure"),
        Fissure.RIGHT_HORIZONTAL: _("right horizontal fissure"),
        Fissure.LEFT_OBLIQUE: _("left oblique fissure"),
    }[fissure]


def place_of(lesion: Lesion) -> str:
    """Side of an opacity in words."""
    if lesion.side is None:
        return _("side open")
    return _("right lung") if lesion.side is Side.RIGHT else _("left lung")


def side_of(lesion: Lesion) -> str:
    """Side of an opacity in one word."""
    if lesion.side is None:
        return _("open")
    return _("right") if lesion.side is Side.RIGHT else _("left")


def lesion_sentence(lesion: Lesion, place: str) -> str:
    """Describe one opacity in a line.

    Parameters
    ----------
    place
        Image that shows it best; empty if none does.
    """
    return _(
        "Opacity {n}: {side}, {volume}, mean {attenuation} HU{image}.",
        n=lesion.number,
        side=place_of(lesion),
        volume=_size(lesion),
        attenuation=number(lesion.mean_hu, 0),
        image=f", {place}" if place else "",
    )


def _size(lesion: Lesion) -> str:
    volume = millilitres(lesion.volume_mm3)
    if lesion.long_axis_mm is None:
        return volume
    return f"{volume}, {_('long axis')} {number(lesion.long_axis_mm, 0)} mm"


def rest_sentence(lesions: tuple[Lesion, ...]) -> str:
    """Describe together the opacities that have no line of their own."""
    return ngettext(
        "{n} further opacity, {volume} together.",
        "{n} further opacities, {volume} together.",
        len(lesions),
        volume=millilitres(sum(lesion.volume_mm3 for lesion in lesions)),
    )


def source_sentence(series: CtSeries) -> str:
    """Name the series that was read."""
    return _("Read: CT {series}.", series=series_name(series.common.header))


def completeness_sentence(series: CtSeries) -> str:
    """Completeness of the series, as its geometry tells."""
    geometry = series.geometry
    return measured(geometry.statement or f"Series {geometry.completeness}.")


def quality_sentences(series: CtSeries, analysis: Analysis) -> tuple[str, ...]:
    """State what a reader should doubt, each once; that there is nothing, where there is not."""
    derived = () if series.volume.frame_of_reference_uid else (_(DERIVED_FRAME_OF_REFERENCE),)
    found = (*doubt_sentences(analysis), *derived)
    return found or (_("No flag raised."),)


def doubt_sentences(analysis: Analysis) -> tuple[str, ...]:
    """State each doubt once: what is doubted, and the figure if there is one.

    Unreported changes stand where the opacities would (`changes_sentences`).
    """
    told = () if analysis.unreported is None else (QualityFlag.UNREPORTED_CHANGES,)
    doubts = tuple(
        doubt
        for doubt in dict.fromkeys((*analysis.doubts, *analysis.lungs.doubts))
        if doubt.code not in told
    )
    explained = {doubt.code for doubt in doubts}
    flags = dict.fromkeys((*analysis.flags, *analysis.lungs.flags))
    bare = (flag_words(code) + "." for code in flags if code not in {*explained, *told})
    return (*(doubt_sentence(doubt) for doubt in doubts), *bare)


def doubt_sentence(doubt: Doubt) -> str:
    """State a doubt and the figure behind it."""
    return f"{named(flag_words(doubt.code), measured(doubt.text))}."


def flag_words(code: str) -> str:
    """Name a quality flag in words, as "Unusual noise"."""
    return beginning(_(ascii_text(code.replace("-", " "))))


def prior_sentences(analysis: Analysis, priors: tuple[Prior, ...]) -> tuple[str, ...]:
    """Compare with each earlier result of the patient, in the order given.

    The difference is that of the figures shown. Scores are compared only within one model.
    """
    return tuple(_prior_sentence(analysis, prior) for prior in priors)


def _prior_sentence(analysis: Analysis, prior: Prior) -> str:
    same = prior.model == model_key(analysis.provenance)
    model = _("same model") if same else _("another model, {model}", model=ascii_text(prior.model))
    return _(
        "Compared with {date} ({model}): share of both lungs taken: {shares}{scores}.",
        date=day(prior.study_date),
        model=model,
        shares=_shares(prior.total, analysis.involvement.total),
        scores=_scores(analysis, prior, same),
    )


def _shares(before: float | None, now: float | None) -> str:
    shown = f"{percent(before)} -> {percent(now)}"
    if before is None or now is None:
        return shown
    change = round(round(100 * now, 1) - round(100 * before, 1), 1) + 0.0
    points = with_decimal_mark(f"{change:+.1f}")
    return _("{shares} ({points} percentage points)", shares=shown, points=points)


def _scores(analysis: Analysis, prior: Prior, same_model: bool) -> str:
    if not same_model:
        return _("; scores of different models do not compare")
    found, before = analysis.classification, prior.classification
    digits = max(digits_of(found), digits_of(before))
    shown = {"before": number(before.score, digits), "now": number(found.score, digits)}
    if (before.indeterminate_from, found.indeterminate_from) != (None, None):
        calls = {"call_before": decision(before), "call_now": decision(found)}
        answers = _(", {before} ({call_before}) -> {now} ({call_now})", **shown, **calls)
        return answers if _bounds_of(before) == _bounds_of(found) else answers + _(OTHER_BOUNDS)
    scores = "{before} -> {now}".format_map(shown)
    if prior.threshold == found.threshold:
        return _(", score {scores}", scores=scores)
    limits = f"{number(prior.threshold, digits)} -> {number(found.threshold, digits)}"
    return _(", score {scores}, threshold {limits}", scores=scores, limits=limits)


def _bounds_of(found: Classification) -> tuple[float | None, float]:
    return found.indeterminate_from, found.threshold


def ready_sentence(series: CtSeries, analysis: Analysis, priors: tuple[Prior, ...] = ()) -> str:
    """One paragraph that a reporting system can take over.

    Parameters
    ----------
    priors
        Earlier results of the patient, the latest first: the only one that is named.
    """
    found = analysis.classification
    read = _(
        "AI ({model}) on {series}: COVID-19 classifier {score}.",
        model=model_line(analysis.provenance),
        series=series_name(series.common.header),
        score=f"{score_line(found)}{certainty(analysis)}",
    )
    sentences = (
        read,
        involvement_sentence(analysis),
        *changes_sentences(analysis),
        *prior_sentences(analysis, priors[:1]),
        completeness_sentence(series),
        _(NOT_ASSESSED),
        _(RESEARCH_NOTICE),
    )
    return " ".join(sentences)
