"""What is kept of each probe: its sheet, its line in the log, the best network, and what there is to announce."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from statistics import fmean
from typing import Any

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.images import write_png
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.events import Event, Message, ProbeEvent, Summary
from zeroconv.training.probing.diagnosis import diagnose, is_zero
from zeroconv.training.probing.overfit import MeasuredProbe, find_overfit
from zeroconv.training.probing.probe import STRENGTH, Probe, ProbeResult, share_interval
from zeroconv.training.probing.sudden_convergence import SuddenConvergence, find_sudden_convergence
from zeroconv.training.run_folder.entries import is_comparable
from zeroconv.training.run_folder.folder import RunFolder

__all__ = ["ProbeRecorder"]

OVERFIT = "run.overfit"


class ProbeRecorder:
    """The probes of a run.

    Args:
        probe: on held-out pairs.
        config: of the run.
        folder: of the run.
        report: called with every event.
        rows: of the log so far; probes whose pictures were made otherwise are not compared with those to come.
    """

    def __init__(
        self,
        probe: Probe,
        config: TrainConfig,
        folder: RunFolder,
        report: Callable[[Event], None],
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.probe, self.config, self.folder, self.report = probe, config, folder, report
        self.curve: list[tuple[int, float]] = []
        self.intervals: dict[int, tuple[float, float]] = {}
        self.measured: list[MeasuredProbe] = []
        self.last: Mapping[str, Any] = {}
        for row in rows:
            if row["event"] == "probe" and is_comparable(row, self.made()):
                self.remember(row)
        self.uncontrolled, self.ceiling = probe.run(None), probe.ceiling()
        self.jump = self.find_jump()
        self.said = {str(row.get("code")) for row in rows if row["event"] == "message"}

    @property
    def measure(self) -> str:
        """The name of the fidelity measure."""
        return conditions.get(self.config.data.condition).metric

    @property
    def newest(self) -> float:
        """Fidelity at the last probe; without control before the first."""
        return self.curve[-1][1] if self.curve else self.uncontrolled.fidelity

    def has(self, step: int) -> bool:
        """Whether there is a probe of `step`."""
        return step in dict(self.curve)

    def remember(self, row: Mapping[str, Any]) -> None:
        """Take in a probe's line of the log; one of an earlier version says less."""
        step, self.last = int(row["step"]), row
        self.curve.append((step, float(row["fidelity"])))
        with suppress(KeyError, TypeError):
            self.intervals[step] = float(row["share"]["low"]), float(row["share"]["high"])
        with suppress(KeyError, TypeError):
            losses = [float(loss) for loss in row["held_out_losses"]]
            if not is_comparable(row, self.drawn()):
                return
            self.measured.append(MeasuredProbe(step, float(row["fidelity"]), float(row["low"]), float(row["high"]), losses))

    def find_jump(self) -> SuddenConvergence | None:
        """Where the control took hold, if it did."""
        marks = self.uncontrolled.fidelity, self.ceiling.fidelity
        return find_sudden_convergence(self.curve, *marks, self.intervals)

    def run(self, network: ControlNet, step: int) -> None:
        """Probe: measure, draw the sheet, keep the best network, say once what there is to announce."""
        # zero connections change no picture: the first probe of a new network is the base without control
        result = self.uncontrolled if is_zero(network) else self.probe.run(network)
        without_prompt = self.probe.run(network, prompts=False)
        losses = list(self.probe.held_out_loss(network)) if self.probe.held_out_loss else []
        interval, share = result.interval, share_interval(result, self.uncontrolled, self.ceiling)
        results = result, without_prompt, self.uncontrolled, self.ceiling
        row: dict[str, Any] = {
            "fidelity": interval.value,
            "low": interval.low,
            "high": interval.high,
            "share": share and share.to_dict(),
            "without_prompt": without_prompt.interval.to_dict(),
            "uncontrolled": self.uncontrolled.fidelity,
            "ceiling": self.ceiling.fidelity,
            "measure": self.measure,
            **({"conditions": {name: self.describe_part(name, *results) for name in result.parts}} if result.parts else {}),
            **self.made(),
            "sheet": f"step-{step:06d}.png",
            **({"held_out_loss": fmean(losses), "held_out_losses": losses, **self.drawn()} if losses else {}),
        }
        event = self.event(step, row)
        rows = {"without control": self.uncontrolled, "with it": result, "with it, no prompt": without_prompt}
        path = write_png(self.probe.sheet(rows, event.line()), self.folder.path / "samples" / row["sheet"])
        if event.fidelity > self.folder.read_best(self.made()):
            licence = self.config.checkpoint.licence
            self.folder.save_best(network, step, event.fidelity, path, self.describe(event), licence, self.made())
            self.folder.write_readme(self.config, f"Kept: step {step}, the best probe so far. {event.line()}")
        self.folder.log("probe", step, **row)
        self.remember({"step": step, **row})
        self.report(event)  # when sheet, network and log are written: a caller may stop here
        self.announce(network, step)

    def describe_part(self, name: str, *results: ProbeResult) -> dict[str, Any]:
        """What the log says of one of several conditions.

        Args:
            name: of the condition.
            results: with the control, with it and without prompts, without control, and of the ceiling.
        """
        controlled, without_prompt, uncontrolled, ceiling = (result.parts[name] for result in results)
        interval, share = controlled.interval, share_interval(controlled, uncontrolled, ceiling)
        return {
            "measure": conditions.get(name).metric,
            "fidelity": interval.value,
            "low": interval.low,
            "high": interval.high,
            "share": share and share.to_dict(),
            "without_prompt": without_prompt.interval.to_dict(),
            "uncontrolled": uncontrolled.fidelity,
            "ceiling": ceiling.fidelity,
        }

    def made(self) -> dict[str, Any]:
        """How the pictures of a probe are made."""
        request, count = self.probe.request, len(self.probe.held_out.pairs)
        return {
            "pictures": count,
            "strength": STRENGTH,
            "guidance": request["guidance_scale"],
            "denoising_steps": request["num_inference_steps"],
        }

    def drawn(self) -> dict[str, Any]:
        """Of which time steps the held-out loss is taken, from the first to the one behind the last."""
        loss = self.probe.held_out_loss
        return {} if loss is None else {"held_out_timesteps": [loss.timesteps.start, loss.timesteps.stop]}

    def event(self, step: int, row: Mapping[str, Any]) -> ProbeEvent:
        """What is reported of a probe."""
        made = "{pictures} pictures, strength {strength:g}, guidance {guidance:g}, {denoising_steps} steps".format(**row)
        return ProbeEvent(
            step,
            row["fidelity"],
            row["uncontrolled"],
            row["ceiling"],
            self.measure,
            (row["low"], row["high"]),
            row["without_prompt"]["value"],
            row.get("held_out_loss"),
            made,
            {
                name: (part["fidelity"], part["uncontrolled"], part["ceiling"])
                for name, part in row.get("conditions", {}).items()
            },
        )

    def announce(self, network: ControlNet, step: int) -> None:
        """Say, once each, that the control took hold, that nothing reaches the network, that training longer does harm."""
        jump, overfit = self.find_jump(), find_overfit(self.measured)
        if jump is not None and self.jump is None:
            self.jump = jump
            facts = asdict(jump)
            self.folder.log("jump", step, at=facts.pop("step"), **facts)
            self.report(Message(jump.sentence(self.measure), "run.sudden-convergence", "info"))
        found = [] if overfit is None else [Message(overfit.sentence(self.measure), OVERFIT)]
        for message in (*found, *diagnose(network, step, self.probe.two_maps())):
            if message.code not in self.said:
                self.said.add(message.code)
                self.folder.log("message", step, **message.to_json())
                self.report(message)

    def summarize(self, step: int, stopped: str | None) -> Summary:
        """How the run ended, at a step, and why before its last one."""
        marks, last = (self.newest, self.uncontrolled.fidelity, self.ceiling.fidelity), self.last
        interval = (last["low"], last["high"]) if "low" in last else None
        without_prompt = last["without_prompt"]["value"] if "without_prompt" in last else None
        return Summary(step, *marks, self.jump, self.folder.path, stopped, True, interval, without_prompt)

    def describe(self, event: ProbeEvent) -> dict[str, str | float]:
        """What the model card says of a probe."""
        low, high = event.interval
        return {
            f"{self.measure}, mean of {len(self.probe.held_out.pairs)} held-out pairs, with its 95 % interval": (
                f"{event.fidelity:.3f} [{low:.3f}, {high:.3f}]"
            ),
            "the same without prompts": round(event.without_prompt, 3),
            "the same without control": round(event.uncontrolled, 3),
            "of the autoencoder's reconstruction of the truth": round(event.ceiling, 3),
            "how these pictures were made": event.made,
            **{f"of {name} alone": round(fidelity, 3) for name, (fidelity, _, _) in event.conditions.items()},
            "optimizer steps": event.step,
            "samples per step": self.config.optimization.batch_size,
        }
