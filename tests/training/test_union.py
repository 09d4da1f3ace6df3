"""Training that begins from a ControlNet-Union: it is the Union told one condition, learns that, and stays a Union."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

from tests.control.test_union import ask, same
from tests.tiny import UNION, build_inputs, build_pooled, randomized
from tests.training.conftest import Settings
from zeroconv import ControlNet, StableDiffusion
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen
from zeroconv.publishing import save_with_card
from zeroconv.training import Trainer
from zeroconv.training.parts import build_network

CANNY = 3  # its control type


def test_it_begins_as_the_union_and_stays_one(settings: Settings, xl: StableDiffusion, xl_folder: Path, tmp_path: Path) -> None:
    union: Any = randomized(ControlNetUnionModel(**UNION), 3).eval()
    union.save_pretrained(tmp_path / "union")
    given: dict[str, Any] = {"base": str(xl_folder), "control": str(tmp_path / "union"), "weight_decay": 0.0}
    config, told = settings(**given, steps=1, learning_rate=1e-3, probe_count=1), list[Message]()
    z_t, t, text, image = build_inputs(union, batch=1)

    def residuals(network: ControlNet) -> Any:
        with torch.no_grad():
            return network(z_t, t, text, image, added_conditions=build_pooled(union, 1)).values()

    first = ask(union, (z_t, t, text), [image], [CANNY], [1.0])
    with listen(told.append):
        same(residuals(build_network(config, xl)), first)
        trainer = Trainer(config, lambda _: None)
        trainer.fit()
    assert "union is a ControlNet-Union and stays one: it learns canny alone" in told[0].text
    save_with_card(trainer.network, tmp_path / "kept", metrics={"edge F1": 0.5})
    kept = ControlNet.from_pretrained(tmp_path / "kept")
    assert kept.config.condition == "canny" and kept.config.union is not None
    theirs: Any = ControlNetUnionModel.from_pretrained(tmp_path / "kept")
    now = ask(theirs, (z_t, t, text), [image], [CANNY], [1.0])
    same(residuals(kept), now)
    assert (now[1] - first[1]).abs().max() > 1e-4
    moved = (theirs.task_embedding - union.task_embedding).abs().amax(dim=1) > 0
    assert moved.tolist() == [kind == CANNY for kind in range(8)]
    for name in ("spatial_ch_projs.weight", "control_add_embedding.linear_1.weight", "transformer_layes.1.mlp.c_fc.weight"):
        assert not torch.equal(theirs.state_dict()[name], union.state_dict()[name])
    card = (tmp_path / "kept" / "README.md").read_text("utf-8")
    assert "may have forgotten the others" in card and f"control_mode=[{CANNY}]" in card
    for control, condition, words in (
        ("union#depth", "canny", r"told to follow depth, and the run learns canny.*condition=depth"),
        ("union", "shuffle", r"no control type for 'shuffle'; expected one of pose"),
        ("union#canny", "canny+depth", r"is a ControlNet-Union, which reads one map at a time"),
    ):
        with pytest.raises(InputError, match=words) as found:
            build_network(settings(**given | {"control": str(tmp_path / control)}, condition=condition), xl)
        assert found.value.field == "model.control"
