"""Models that a worker loads: what lies in a folder may change while it lives."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of, reference_of
from dicom_node.analysis.worker.models import load_models
from tests.support.samples.second_model import second_model


@pytest.mark.slow
def test_a_model_that_was_made_anew_in_the_same_folder_is_loaded_anew(tmp_path: Path) -> None:
    config, folder = analysis_config_of(Settings()), tmp_path / "candidate"
    for temperature in (3.0, 5.0):
        shutil.rmtree(folder, ignore_errors=True)
        model = reference_of(second_model(folder, temperature=temperature))

        loaded = load_models(replace(config, model=model))

        assert loaded.weights_sha256 == model.sha256


def test_each_analysis_has_the_threads_that_are_set_whatever_another_left() -> None:
    config = replace(analysis_config_of(Settings()), threads=2, device="cpu")
    before = torch.get_num_threads()
    try:
        for _ in range(2):
            load_models(config)
            assert torch.get_num_threads() == 2
            torch.set_num_threads(1)  # as another analysis of this process does for a while
    finally:
        torch.set_num_threads(before)
