"""Lines of text from a report: names, numbers, units."""

from dicom_node.demo.report_reader import statements
from pipeline.encode.bundle import encode
from tests.support.samples.encode_samples import analysis, context, ct_series


def test_the_report_says_what_was_measured() -> None:
    bundle = encode(ct_series(), analysis(), context())
    report = bundle.objects[1].dataset

    lines = [line for _, line in statements(report)]

    assert "COVID-19 score: 0.87" in lines
    assert any("not a diagnosis" in line for line in lines)
    assert not any(line.startswith("Comment") for line in lines)
    assert any(line.endswith(" HU") for line in lines)
    assert any(line.endswith(" mL") for line in lines)
    assert not any("hnsf" in line for line in lines)
