"""Digest what the result of a request depends on."""

from __future__ import annotations

from dicom_node.analysis.worker.messages import AnalysisRequest
from pipeline.encode.result.identity import inputs_digest
from pipeline.options import METHOD

OTHER_METHOD = "the kept analysis is of an earlier method: reprocess it"  #: reason of a refusal


def inputs_of(request: AnalysisRequest) -> str:
    """Digest everything that decides what the result of a request says."""
    config = request.config
    proof = {"closed by": str(request.closed_by)} if request.closed_by else {}
    parameters = {
        **proof,
        **config.options.as_parameters(),
        **config.products.as_parameters(),
        **config.equipment.as_parameters(),
        "series number base": str(config.series_number_base),
        "method": str(METHOD),
        "priors": " ".join(prior.report.sop_instance_uid for prior in request.priors),
    }
    return inputs_digest(
        request.series_instance_uid, request.instances, config.model.sha256, parameters
    )


def source_digest(request: AnalysisRequest) -> str:
    """Digest of the instances of a request."""
    return inputs_digest(request.series_instance_uid, request.instances, "", {})
