"""A trivial analysis instead of the networks: two small objects from every series."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedSRStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.analysis.fetch.access import files_at_hand
from dicom_node.analysis.worker.messages import Analysed, AnalysisRequest, EncodedObject, Unchanged
from dicom_node.analysis.worker.series_task import HandOver, as_begun, keep_back
from dicom_node.clock_watch import utc_now
from pipeline.encode.result.identity import derived_uid, inputs_digest, result_key, stands

KINDS = (("report", EnhancedSRStorage), ("heatmap", SecondaryCaptureImageStorage))


def encoded(kind: str, sop_class: str, key: str, source: Dataset) -> EncodedObject:
    """A small object of a result."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, derived_uid(key, kind)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = source.StudyInstanceUID, derived_uid(key, kind, 0)
    ds.PatientID, ds.Modality = source.PatientID, "OT"
    ds.InstanceCreationTime = utc_now().strftime("%H%M%S.%f")  # as real results name a time
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    return EncodedObject(
        kind=kind,
        sop_class_uid=sop_class,
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        part10=file.getvalue(),
    )


def analysed(request: AnalysisRequest, hand_over: HandOver = keep_back) -> Analysed | Unchanged:
    """Every file is read, as the real analysis does; the rest is made up."""
    with files_at_hand(request.files) as files:
        sources = [dcmread(BytesIO(file.path.read_bytes())) for file in files]
    inputs = inputs_digest(request.series_instance_uid, request.instances, "light", {})
    if stands(inputs, request.earlier):
        return Unchanged()
    request = as_begun(request, inputs)
    key = result_key(inputs, request.occasion)
    whole = Analysed(
        key=key,
        inputs=inputs,
        score=0.5,
        positive=True,
        model="light 1",
        summary={"score": 0.5, "instances": len(sources)},
        objects=tuple(encoded(kind, uid, key, sources[0]) for kind, uid in KINDS),
        seconds={},
        occasion=request.occasion,
    )
    hand_over(replace(whole, objects=whole.objects[:1]))
    return whole
