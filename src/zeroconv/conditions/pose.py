"""Human pose: 18 OpenPose joints and 17 limbs in the OpenPose colours on black; hands and faces where they are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import Condition, Contract, Halves, check_sizes, share_of
from zeroconv.conditions.networks.weights import methods_of
from zeroconv.conditions.openpose.drawing import JOINTS, draw_pose, joints_of, limbs_met
from zeroconv.conditions.openpose.keypoints import People
from zeroconv.metrics.keypoints import joints_met, oks

__all__ = ["POSE", "find_people", "find_whole_people", "pose", "pose_agreement", "pose_numbers"]

MET = "joints met (PCK@0.05)"
THRESHOLD = 0.3  # confidence from which a person or a joint is believed
WITHIN = 0.05  # a joint counts as met within this share of the picture's width


def pose(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
    hands: bool = False,
    face: bool = False,
) -> Image.Image:
    """The pose map of a picture: RGB, of the same size; black when nobody is found.

    Takes what `find_people` takes, and raises what it raises. `hands` and `face` draw these too; a ValueError says so
    when the method does not find them, as "sapiens2" does.
    """
    return drawn(image, find_whole_people(image, method, weights, detector, threshold, device), method, hands, face)


def drawn(image: Image.Image, people: People, method: str, hands: bool, face: bool) -> Image.Image:
    """The map of the people of a picture."""
    for what, wanted, found in (("hands", hands, people.hands), ("face", face, people.face)):
        if wanted and found is None:
            raise ValueError(f"method {method} does not find what {what}=true draws; expected method=sapiens2, or {what}=false")
    return draw_pose(People(people.body, people.hands if hands else None, people.face if face else None), image.size)


def find_people(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> np.ndarray:
    """The people of a picture: (N, 18, 3) float32, x and y in pixels and confidence, in the order of `JOINTS`.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator: one person, in pictures of the tiny world alone), "vitpose" or "sapiens2".
        weights: of the learned method: a folder or hub id instead of the published one.
        detector: of the person detector that it needs, likewise.
        threshold: confidence in [0, 1] from which a person or a joint is believed; other joints are 0.
        device: where learned networks run.

    Raises:
        ValueError: for an unknown method, a threshold out of range, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    return find_whole_people(image, method, weights, detector, threshold, device).body


def find_whole_people(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> People:
    """The people of a picture with their hands and faces, as far as the method finds them: see `find_people`."""
    return all_people([image], method, weights, detector, threshold, device)[0]


def all_people(
    images: Sequence[Image.Image],
    method: str,
    weights: str | Path | None,
    detector: str | Path | None,
    threshold: float,
    device: str,
) -> list[People]:
    """The people of each picture; the annotator sees all pictures together."""
    if method not in (known := ("tiny", *methods_of("pose"))):
        raise ValueError(f"pose method is {method!r}; expected one of {', '.join(known)}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"pose threshold is {threshold}; expected 0 … 1")
    if method != "tiny":
        from zeroconv.conditions.networks.pose import learned_people

        return [learned_people(image, method, weights, detector, threshold, device) for image in images]
    from zeroconv.conditions.networks.annotator import annotate

    found = [seen.joints()[0].numpy() for seen in annotate(*images)]  # (18, 3), x and y in [0, 1]
    people: list[People] = []
    for joints, image in zip(found, images, strict=True):
        joints = joints * np.array([*image.size, 1], np.float32) * (joints[:, 2:] >= threshold)
        people.append(People(joints[None] if joints.any() else np.zeros((0, len(JOINTS), 3), np.float32)))
    return people


def pose_agreement(
    image: Image.Image,
    condition: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    device: str = "cpu",
) -> float:
    """Share of a map's joints found within 5 % of the picture's width (PCK@0.05): [0, 1]; see `pose_numbers`."""
    return pose_numbers(image, condition, method, weights, detector, device)[MET]


def pose_numbers(
    image: Image.Image,
    condition: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    device: str = "cpu",
) -> dict[str, float]:
    """How well a person read back from a picture meets the one of its map, of several the one that does best.

    PCK@0.05: the share of the map's joints found within 5 % of the picture's width (Y. Yang and D. Ramanan, 2013).
    OKS: COCO's likeness, the person's area that of the box around its joints. A map without joints is obeyed: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size; of several people the largest counts.
        method: who reads the pose: "tiny" (pictures of the tiny world alone) or a network as in `find_people`.
        weights: of the network.
        detector: of the person detector that it needs.
        device: where it runs.

    Raises:
        ValueError: when sizes differ, or as `find_people`.
        FileNotFoundError: as `find_people`.
    """
    check_sizes(image, condition)
    joints = joints_of(condition)
    if not joints:
        return {MET: 1.0, "OKS": 1.0}
    wanted, visible = np.zeros((len(JOINTS), 2)), np.zeros(len(JOINTS))
    for index, place in joints.items():
        wanted[index], visible[index] = np.multiply(place, image.size), 1
    threshold = 0.0 if method == "tiny" else THRESHOLD  # the annotator always sees one person
    area = max(1.0, float(np.prod(np.ptp(wanted[visible > 0], axis=0))))
    scores = [(0.0, 0.0)]
    for person in find_people(image, method, weights, detector, threshold, device):
        found = np.where(person[:, 2:] >= threshold, person[:, :2], np.inf) if threshold else person[:, :2]
        scores.append((joints_met(found, wanted, visible, WITHIN, image.width), oks(found, wanted, visible, area)))
    return dict(zip((MET, "OKS"), max(scores), strict=True))


def check(condition: Image.Image) -> list[str]:
    """Warnings for a pose map: a bright background, nobody, no joint in the OpenPose colours, channels swapped.

    The colours of the joints go round the hue circle and are the same with red and blue swapped; the limbs then join
    the wrong ones.
    """
    bright = share_of(condition, lambda rgb: rgb.min(axis=2) > 127)
    if bright > 0.3:
        return [f"this map looks inverted: {bright:.0%} of it is bright, expected the OpenPose colours on black"]
    if share_of(condition, lambda rgb: rgb.max(axis=2) > 0) == 0:
        return ["this map is black: nobody is on it, so it controls nothing"]
    if not joints_of(condition):
        return ["no joint in the OpenPose colours is on this map, so it controls nothing"]
    red, green, blue = condition.convert("RGB").split()
    met, swapped = limbs_met(condition), limbs_met(Image.merge("RGB", (blue, green, red)))
    if swapped > max(1, 2 * met):
        return [f"this map looks BGR: {swapped} limbs join the right joints with red and blue swapped, {met} as it is"]
    return []


POSE = Condition(
    "pose",
    f"OpenPose skeleton, 18 joints, hands and faces (method {', '.join(('tiny', *methods_of('pose')))})",
    Contract(
        "RGB map of the picture's size: joints and limbs of people in the OpenPose colours on black.",
        polarity="coloured joints and limbs on black",
        palette="OpenPose's 18 colours, each joint its own, limbs at 60 % of theirs; hands in 20 hues with blue joints, "
        "faces as white dots; smoothed at their rims",
        suits=(
            "lllyasviel/control_v11p_sd15_openpose", "lllyasviel/sd-controlnet-openpose",
            "thibaud/controlnet-sd21-openpose-diffusers", "thibaud/controlnet-openpose-sdxl-1.0",
            "xinsir/controlnet-openpose-sdxl-1.0",
        ),
    ),
    pose,
    pose_agreement,
    measure=MET,
    check=check,
    of_any_picture=False,
    halves=Halves(all_people, drawn),
    measures=pose_numbers,
)  # fmt: skip
