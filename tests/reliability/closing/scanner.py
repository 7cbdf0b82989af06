"""Simulated scans, and how a sender hands them to the node: pauses, orders, associations."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum

from storage.series.slices import HeldSlice, SliceFacts

ORDERS = ("ascending", "descending", "interleaved", "random")
END_SHARE, LUNG_SHARE = 0.01, 0.4  #: gas in the trunk: outside the lungs, and in mid-chest
ABDOMEN_GAS = 0.06  #: in the bowel of some


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of a scan.

    Attributes
    ----------
    share
        Of the trunk that is gas.
    acquisition
        0 for the first.
    """

    held: HeldSlice
    share: float
    acquisition: int


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An image that the node receives at a time, s; by which association."""

    at: float
    image: Image
    association: int


@dataclass(kw_only=True)
class Association:
    """When an association is open, s."""

    opened: float
    closed: float


@dataclass(kw_only=True)
class Transfer:
    """All that a sender does with one series.

    Attributes
    ----------
    made
        When each acquisition was made, s.
    traits
        What is unusual about it.
    """

    images: list[Image]
    arrivals: list[Arrival]
    associations: list[Association]
    made: list[float]
    traits: set[str] = field(default_factory=set)

    @property
    def end(self) -> float:
        """When the last image arrives."""
        return self.arrivals[-1].at


class Announces(Enum):
    """What the headers say of Images in Acquisition."""

    NOTHING = "nothing"
    ACQUISITION = "the images of the acquisition"
    SCAN = "those of several reconstructions together"


def profile(at: float, lungs: tuple[float, float], below: float) -> float:
    """Share of gas at a place between feet (0) and head (1)."""
    low, high = lungs
    if not low < at < high:
        return below if at <= low else END_SHARE
    edge = 0.15 * (high - low)
    return LUNG_SHARE * min((at - low) / edge, (high - at) / edge, 1.0) + END_SHARE


def scan(draw: random.Random, traits: set[str]) -> list[Image]:
    """Make the images of a series, in the order of their numbers."""
    slices = draw.randint(60, 320)
    spacing = draw.choice([1.0, 1.25, 2.0, 2.5, 3.0, 5.0])
    slices = max(slices, int(200 / spacing))
    lungs = (draw.uniform(0.05, 0.3), draw.uniform(0.85, 0.97))
    if draw.random() < 0.1:
        traits.add("a chest that the scan cuts")
        lungs = (-0.2, lungs[1])
    elif draw.random() < 0.1:
        traits.add("chest and abdomen")
        lungs = (draw.uniform(0.45, 0.6), lungs[1])
    below = ABDOMEN_GAS if draw.random() < 0.1 else END_SHARE
    announces = draw.choice(list(Announces))
    acquisitions = 2 if draw.random() < 0.2 else 1
    same_number = draw.random() < 0.3
    feet_first = draw.random() < 0.3
    if acquisitions == 2:
        traits.add("two acquisitions")
    images = []
    for acquisition in range(acquisitions):
        for index in range(slices):
            place = (index if feet_first else slices - 1 - index) / (slices - 1)
            number = acquisition * slices + index + 1
            announced = {
                Announces.NOTHING: None,
                Announces.ACQUISITION: slices,
                Announces.SCAN: 2 * slices + 3,
            }[announces]
            facts = SliceFacts(
                acquisition_number=1 if same_number else acquisition + 1,
                images_in_acquisition=announced,
                instance_number=number,
                plane="p",
                height_mm=place * spacing * (slices - 1),
            )
            held = HeldSlice(sop_instance_uid=f"1.{number}", path=str(number), facts=facts)
            images.append(
                Image(held=held, share=profile(place, lungs, below), acquisition=acquisition)
            )
    return images


def ordered(images: list[Image], order: str, draw: random.Random) -> list[Image]:
    """Put the images of an acquisition into the order in which they are sent."""
    if order == "descending":
        return images[::-1]
    if order == "interleaved":
        return images[::2] + images[1::2]
    if order == "random":
        return draw.sample(images, len(images))
    return images


def transfer(draw: random.Random) -> Transfer:
    """Draw a scan and a sender."""
    traits: set[str] = set()
    images = scan(draw, traits)
    sent: list[Image] = []
    order = draw.choices(ORDERS, (6, 2, 1, 1))[0]
    if order != "ascending":
        traits.add(f"sent {order}")
    for acquisition in sorted({image.acquisition for image in images}):
        own = [image for image in images if image.acquisition == acquisition]
        sent += ordered(own, order, draw)
    if draw.random() < 0.15:
        traits.add("missing ends")
        lost = set(range(1, draw.randint(2, 12)))
        if draw.random() < 0.5:
            lost = {len(images) - number + 1 for number in lost}
        sent = [image for image in sent if image.held.facts.instance_number not in lost]
    return _sent(draw, images, sent, traits)


def _sent(
    draw: random.Random, images: list[Image], sent: list[Image], traits: set[str]
) -> Transfer:
    chunk = draw.choice([1, 10, 50, len(sent), len(sent), len(sent)])
    if chunk < len(sent):
        traits.add("several associations")
    breaks = set(range(chunk, len(sent), chunk))
    pauses = _pauses(draw, sent, breaks, traits)
    step, gap = draw.uniform(0.003, 0.05), draw.uniform(0.02, 0.6)
    now = draw.uniform(0, 1)
    arrivals: list[Arrival] = []
    associations = [Association(opened=now, closed=now)]
    made = [now - 30.0]
    for index, image in enumerate(sent):
        pause = pauses.get(index, 0.0)
        if index and image.acquisition != sent[index - 1].acquisition:
            made.append(now + pause / 2)
        if index in breaks or (pause and draw.random() < 0.7):
            associations[-1].closed = now + 0.01
            now += pause + gap
            associations.append(Association(opened=now, closed=now))
        else:
            now += pause
        now += step
        associations[-1].closed = now + 0.05
        arrivals.append(Arrival(at=now, image=image, association=len(associations) - 1))
    if draw.random() < 0.1:
        traits.add("an association that stays open")
        associations[-1].closed = now + 1000
    return Transfer(
        images=images, arrivals=arrivals, associations=associations, made=made, traits=traits
    )


def _pauses(
    draw: random.Random, sent: list[Image], breaks: set[int], traits: set[str]
) -> dict[int, float]:
    """Draw before which images the sender pauses, s."""
    pauses = {}
    if draw.random() < 0.5:
        traits.add("pauses")
        for _ in range(draw.randint(1, 4)):
            at = draw.choice(sorted(breaks)) if breaks else draw.randrange(1, len(sent))
            pauses[at] = draw.uniform(1, 55)
    second = next((at for at, image in enumerate(sent) if image.acquisition), 0)
    if second and draw.random() < 0.7:
        pauses[second] = draw.uniform(1, 55)
    if draw.random() < 0.1:
        traits.add("late slices")
        pauses[len(sent) - draw.randint(1, 5)] = draw.uniform(65, 500)
    return pauses
