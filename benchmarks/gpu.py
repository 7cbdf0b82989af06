"""``python -m benchmarks.gpu``: measure networks and whole series on a GPU, if there is one.

One run measures all: the networks on 141 slices (the paper's own have 1.93 s for them), files to
results, the same with several series in flight, and what is left when memory is short. On a machine
without a GPU that torch sees it says so, and ends with status 2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.analysis import phantom
from benchmarks.rounds import scratch
from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.offline import find_series, source_files
from dicom_node.analysis.worker.messages import Analysed, AnalysisRequest
from dicom_node.analysis.worker.models import load_models
from dicom_node.analysis.worker.series_task import results_of
from pipeline.classifier.input import network_input
from pipeline.classifier.score import classify
from pipeline.lungs.segment import segment
from pipeline.lungs.unet import BATCH, segment_unet
from pipeline.model.loading import Models
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import CtVolume

PAPER_SLICES, PAPER_SECONDS = 141, 1.93  #: Wang et al. 2020: a whole scan on a GPU
NETWORKS_SECONDS, SERIES_SECONDS = 0.1, 1.0  #: goals
IN_FLIGHT = (1, 2, 4)  #: series at a time
MEMORY_LADDER = (1, 8, 32, 64, 128)  #: slices at a time
NO_GPU = 2  #: exit status


def main() -> None:
    """Measure and print, or say that there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--series", type=Path, help="a folder of DICOM files; else a phantom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a try")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no GPU that torch sees: nothing was measured", file=sys.stderr)
        raise SystemExit(NO_GPU)
    if options.device == "cuda":
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    with scratch() as folder:
        series = options.series or phantom(folder / "ct", PAPER_SLICES)
        request = request_of(series, options.device)
        models = load_models(request.config)
        networks(models, options.rounds)
        whole(request, options.rounds)


def request_of(folder: Path, device: str) -> AnalysisRequest:
    """Ask for the results of the series in a folder."""
    (found, *_), _ = find_series(folder, Settings().results.series_number_base)
    return AnalysisRequest(
        series_instance_uid=found.series_instance_uid,
        files=tuple(source_files(found.paths)),
        config=replace(analysis_config_of(Settings()), device=device),
        created=datetime.now(UTC),
    )


def networks(models: Models, rounds: int) -> None:
    """Both networks alone, on slices that are in memory."""
    spec = PhantomSpec(slices=PAPER_SLICES, spacing_mm=2.5)
    made = make_phantom(spec)
    volume = CtVolume(
        hu=made.hu.copy(),
        affine=made.affine.copy(),
        frame_of_reference_uid="",
        source=(None,) * PAPER_SLICES,
    )
    lungs = segment(volume, models)
    seen = models.manifest.networks
    crop = network_input(volume, lungs, seen.classifier.input)

    def see(slices_at_once: int) -> None:
        segment_unet(
            volume.hu,
            models.lungs,
            seen.lungs.input,
            slices_at_once,
            pixel_mm=volume.spacing_mm[1:],
        )

    best = min(seconds(lambda at_once=at_once: see(at_once), rounds) for at_once in MEMORY_LADDER)
    usual = seconds(lambda: see(BATCH[models.device.type]), rounds)
    score = seconds(lambda: classify(crop, models), rounds)
    print(f"lungs of {PAPER_SLICES} slices {usual:.3f} s (best batch {best:.3f} s)")
    print(f"score {score:.3f} s; both {usual + score:.3f} s, goal {NETWORKS_SECONDS} s,")
    print(f"  the paper {PAPER_SECONDS} s")


def whole(request: AnalysisRequest, rounds: int) -> None:
    """Files to results, one series and several in flight."""
    for at_a_time in IN_FLIGHT:
        with ThreadPoolExecutor(at_a_time) as pool:

            def all_of_them(pool: ThreadPoolExecutor = pool, count: int = at_a_time) -> None:
                for answer in pool.map(results_of, [request] * count):
                    if not isinstance(answer, Analysed):
                        raise TypeError(f"expected an analysis, got {answer}")

            took = seconds(all_of_them, rounds) / at_a_time
        print(f"{at_a_time} in flight: {took:.2f} s a series, goal {SERIES_SECONDS} s")
    if torch.cuda.is_available():
        print(f"highest memory of the GPU {torch.cuda.max_memory_allocated() / 2**20:.0f} MB")


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Least time of some rounds after one to warm up; work on a GPU is waited for."""
    took: Sequence[float] = [_once(work) for _ in range(rounds + 1)]
    return min(took[1:])


def _once(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
