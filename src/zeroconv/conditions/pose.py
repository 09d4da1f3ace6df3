"""Human pose: 18 OpenPose joints and 17 limbs in the OpenPose colours on black; hands and faces where they are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import BatchedExtractor, Condition, Contract, RenderedScene, reextract_and_score
from zeroconv.conditions.map_checks import check_sizes
from zeroconv.conditions.networks.weights import methods_of, weights_of
from zeroconv.conditions.openpose.drawing import JOINTS, draw_pose
from zeroconv.conditions.openpose.json_format import draw_document
from zeroconv.conditions.openpose.keypoints import People
from zeroconv.conditions.openpose.mirroring import mirror_pose
from zeroconv.conditions.openpose.reading import PoseMap, read_joints
from zeroconv.conditions.raster.resizing import NEAREST
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.images import check_pixels
from zeroconv.messages import Message
from zeroconv.metrics.keypoints import oks, pck

__all__ = ["METHODS", "POSE", "estimate_people", "pose", "pose_metrics", "predict_people"]

METHODS = ("tiny", "blazepose", *methods_of("pose"))
PCK = "joints met (PCK@0.05)"
THRESHOLD = 0.3  # confidence from which a person or a joint is believed
OTHER_ORDERS = ((2, 1, 0), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1))
LOOSE = 72  # levels in all by which a colour may differ in the check, after a lossy round
READABLE = 100  # pixels of the shorter side from which limbs and joints can be told apart
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
    thickness: float | None = None,
) -> Image.Image:
    """The pose map of a picture: RGB, of the same size; black when nobody is found.

    Args:
        image: any picture.
        method: as for `estimate_people`; so are the next four.
        weights: of the learned method.
        detector: of the person detector.
        threshold: confidence from which a person or a joint is drawn.
        device: where learned networks run.
        hands: whether to draw these too.
        face: whether to draw it too.
        thickness: of limbs in pixels; as ControlNet 1.1's annotators draw them if left out, see `draw_pose`.

    Raises:
        ValueError: as `estimate_people`, or when the method does not find hands or faces, as "sapiens2" does.
        FileNotFoundError: as `estimate_people`.
    """
    return render_map(
        image, estimate_people(image, method, weights, detector, threshold, device), method, hands, face, thickness
    )


def render_map(
    image: Image.Image, people: People, method: str, hands: bool, face: bool, thickness: float | None
) -> Image.Image:
    """The map of the people of a picture."""
    if thickness is not None and not 1 <= thickness <= 100:
        raise InputError(f"thickness is {thickness}; expected 1 to 100 pixels, 8 as usual", field="thickness")
    for what, wanted, found in (("hands", hands, people.hands), ("face", face, people.face)):
        if wanted and found is None:
            raise InputError(
                f"method {method} does not find what {what}=true draws; expected method=sapiens2, or {what}=false", field=what
            )
    shown = People(people.body, people.hands if hands else None, people.face if face else None)
    return draw_pose(shown, image.size, thickness)


def estimate_people(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> People:
    """The people of a picture, with their hands and faces as far as the method finds them.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator: one person, in pictures of the tiny world alone), "vitpose", "sapiens2", or
            "blazepose", whose files you have.
        weights: of the learned method: a folder or hub id instead of the published one; of "blazepose" the folder of its
            files, or the file of its landmarks.
        detector: of the person detector that it needs, likewise.
        threshold: confidence in [0, 1] from which a person or a joint counts; other joints are 0.
        device: where learned networks run.

    Returns:
        Positions in pixels with confidences, the joints of a body in the order of `JOINTS`.

    Raises:
        ValueError: for an unknown method, a threshold out of range, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    return predict_people([image], method, weights, detector, threshold, device)[0]


def predict_people(
    images: Sequence[Image.Image],
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> list[People]:
    """The people of each picture, as `estimate_people`; the annotator sees all pictures in one batch."""
    if method not in METHODS:
        raise InputError(f"pose method is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    if not 0 <= threshold <= 1:
        raise InputError(f"pose threshold is {threshold}; expected 0 … 1", field="threshold")
    if method == "blazepose":
        from zeroconv.conditions.networks.blazepose import blazepose_people

        return [blazepose_people(image, weights, detector, threshold) for image in images]
    if method != "tiny":
        from zeroconv.conditions.networks.pose import learned_people

        return [learned_people(image, method, weights, detector, threshold, device) for image in images]
    from zeroconv.conditions.networks.annotator import annotate

    found = [annotation.joints()[0].numpy() for annotation in annotate(*images)]  # (18, 3), x and y in [0, 1]
    people: list[People] = []
    for joints, image in zip(found, images, strict=True):
        joints = joints * np.array([*image.size, 1], np.float32) * (joints[:, 2:] >= threshold)
        people.append(People(joints[None] if joints.any() else np.zeros((0, len(JOINTS), 3), np.float32)))
    return people


def pose_metrics(
    image: Image.Image,
    condition: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    device: str = "cpu",
) -> Mapping[str, float]:
    """How well a person in a generated picture has the pose of its map; of several people the best one counts.

    PCK@0.05: the share of the map's joints found within 5 % of the picture's width (Y. Yang and D. Ramanan, 2013).
    OKS: COCO's object keypoint similarity, the person's area that of the box around its joints.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size; of several people the largest counts.
        method: by which its pose is estimated again: "tiny" (pictures of the tiny world alone) or a network as in
            `estimate_people`.
        weights: of the network.
        detector: of the person detector that it needs.
        device: where it runs.

    Raises:
        NothingAskedError: for a map without a body: black, or hands and faces alone.
        InputError: for a map that is no pose map.
        ValueError: when sizes differ, or as `estimate_people`.
        FileNotFoundError: as `estimate_people`.
    """
    check_sizes(image, condition)
    if not readable_joints(condition):
        raise NothingAskedError("no body is on this pose map: there is nothing to obey", field="condition")
    given = {"method": method, "weights": weights, "detector": detector, "device": device}
    threshold = 0.0 if method == "tiny" else THRESHOLD  # the annotator always sees one person
    return reextract_and_score(predict_people, score_people, image, condition, **given, threshold=threshold)


def readable_joints(condition: Image.Image) -> dict[int, tuple[float, float]]:
    """The joints of a map, none on one that is black or has hands and faces alone.

    Raises:
        InputError: when it is no pose map.
    """
    wrong = [message for message in check(condition) if message.code != "map.empty"]
    if wrong:
        raise InputError(f"{wrong[0]}; {POSE.contract}", field="condition")
    return read_joints(condition)


def score_people(people: People, condition: Image.Image) -> dict[str, float]:
    """The metrics of people against a map with joints; a joint of confidence 0 is not found."""
    wanted, visible = np.zeros((len(JOINTS), 2)), np.zeros(len(JOINTS))
    for index, place in read_joints(condition).items():
        wanted[index], visible[index] = np.multiply(place, condition.size), 1
    area = max(1.0, float(np.prod(np.ptp(wanted[visible > 0], axis=0))))
    scores = [(0.0, 0.0)]
    for person in people.body:
        found = np.where(person[:, 2:] > 0, person[:, :2], np.inf)
        scores.append((pck(found, wanted, visible, WITHIN, condition.width), oks(found, wanted, visible, area)))
    return dict(zip((PCK, "OKS"), max(scores), strict=True))


def check(condition: Image.Image) -> list[Message]:
    """Warnings for a pose map: nobody, a bright background, a picture, or strokes that are no skeleton, hands or face.

    The colours of the joints go round the hue circle and are nearly the same with channels exchanged; the limbs then join
    the wrong ones.
    """
    check_pixels(condition)
    found = PoseMap.of(condition)
    lit, bright = float(found.lit.mean()), float((found.darkest > 127).mean())
    if bright > 0.3:
        said = f"this map looks inverted: {bright:.0%} of it is bright, expected the OpenPose colours on black"
        return [Message(said, "map.inverted")]
    if not found.rgb.any():
        return [Message("this map is black: nobody is on it, so it controls nothing", "map.empty")]
    if lit > 0.5 and found.known_fraction() < 0.6:  # a crowd may fill a small map
        said = f"this map looks like a picture: {lit:.0%} of it is not black, expected a skeleton on black"
        return [Message(said, "map.picture")]
    drawn = found.reduced()
    limbs = drawn.count_limbs()
    few = found.has_single_joints() or (not limbs.total and found.has_face())
    if limbs.are_a_skeleton() or found.has_hands() or (limbs.total <= 2 and few):
        return []
    if drawn.rgb.shape != found.rgb.shape and found.count_limbs().are_a_skeleton():
        return []  # thin sticks, which every n-th pixel may miss
    if PoseMap(drawn.rgb, LOOSE).count_limbs().are_a_skeleton(share=0.75):
        return []  # after a lossy round
    if min(condition.size) < READABLE and limbs.total:
        return []  # too small to tell which limb meets which joint
    swapped = (PoseMap(np.ascontiguousarray(drawn.rgb[:, :, list(order)])).count_limbs() for order in OTHER_ORDERS)
    if any(counts.total >= 2 and counts.are_a_skeleton() for counts in swapped):
        said = f"this map looks BGR, or otherwise exchanged: {limbs.met} of {limbs.total} limbs meet their joints"
        return [Message(said, "map.channels")]
    if limbs.total:
        said = f"{limbs.met} of {limbs.total} limbs on this map meet their joints in the OpenPose colours: expected a skeleton"
        return [Message(said, "map.no-joints")]
    return [Message("no joint in the OpenPose colours is on this map, nor hands or a face: it shows nobody", "map.no-joints")]


def ground_truth(scene: RenderedScene) -> Image.Image:
    """The exact pose map of a rendered scene, black without a person."""
    joints = np.zeros((len(JOINTS), 3), np.float32) if scene.keypoints is None else scene.keypoints
    return draw_pose(joints, (scene.rgb.shape[1], scene.rgb.shape[0]))


POSE = Condition(
    name="pose",
    order=5,
    aliases=("openpose",),
    summary=f"OpenPose skeleton, 18 joints, hands and faces (method {', '.join(METHODS)})",
    contract=Contract(
        summary="RGB map of the picture's size: joints and limbs of people in the OpenPose colours on black.",
        polarity="coloured joints and limbs on black",
        palette="OpenPose's 18 colours, each joint its own, limbs at 60 % of theirs; hands in 20 hues with blue joints, "
        "faces as white dots; smoothed at their rims",
        suits=(
            "lllyasviel/control_v11p_sd15_openpose", "lllyasviel/sd-controlnet-openpose",
            "thibaud/controlnet-sd21-openpose-diffusers", "thibaud/controlnet-openpose-sdxl-1.0",
            "xinsir/controlnet-openpose-sdxl-1.0",
        ),
    ),
    extract=pose,
    score=pose_metrics,
    metric=PCK,
    check=check,
    draw_document=draw_document,
    resizing=NEAREST,
    mirror=mirror_pose,
    general_purpose=False,
    batched=BatchedExtractor(predict_people, render_map),
    ground_truth=ground_truth,
    weights=weights_of("pose"),
)  # fmt: skip
