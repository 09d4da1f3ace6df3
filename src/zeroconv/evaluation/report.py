"""What an evaluation measured: rows, intervals, and the lines that are shown."""

from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from zeroconv.evaluation.gap import bootstrap_share
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean

__all__ = ["Example", "FidelityReport", "Row"]


@dataclass(frozen=True)
class Row:
    """One held-out pair.

    Attributes:
        name: of the pair.
        prompt: its caption.
        seed: of both pictures.
        controlled: fidelity with the control, higher obeys better.
        uncontrolled: fidelity without it.
        ceiling: fidelity of the autoencoder's reconstruction of the truth.
        measures: all that was measured, by name, of the three pictures in this order; the fidelity is the first.
    """

    name: str
    prompt: str
    seed: int
    controlled: float
    uncontrolled: float
    ceiling: float
    measures: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Example:
    """The pictures behind a row.

    Attributes:
        truth: the true picture.
        condition: its map.
        uncontrolled: made without the control.
        controlled: made with it.
    """

    truth: Image.Image
    condition: Image.Image
    uncontrolled: Image.Image
    controlled: Image.Image


@dataclass(frozen=True)
class FidelityReport:
    """What `evaluate` measured.

    Attributes:
        condition: name of the condition.
        measure: name of its fidelity measure, higher obeys better.
        settings: how the pictures were made.
        rows: one per pair.
        left_out: pairs whose map asks for nothing, such as a black one.
        examples: pictures of the first few pairs.
    """

    condition: str
    measure: str
    settings: dict[str, Any]
    rows: list[Row]
    left_out: int
    examples: list[Example] = field(repr=False)

    @property
    def controlled(self) -> Interval:
        """Mean fidelity with the control."""
        return bootstrap_mean([row.controlled for row in self.rows])

    @property
    def uncontrolled(self) -> Interval:
        """Mean fidelity without it."""
        return bootstrap_mean([row.uncontrolled for row in self.rows])

    @property
    def ceiling(self) -> Interval:
        """Mean fidelity of the reconstructed truth."""
        return bootstrap_mean([row.ceiling for row in self.rows])

    @property
    def others(self) -> dict[str, tuple[Interval, Interval, Interval]]:
        """What is measured beside the fidelity: with the control, without it, and of the reconstructed truth."""

        def of(name: str, column: int) -> Interval:
            return bootstrap_mean([row.measures[name][column] for row in self.rows])

        return {name: (of(name, 0), of(name, 1), of(name, 2)) for name in list(self.rows[0].measures)[1:]}

    @property
    def share(self) -> Interval | None:
        """Share of the gap between uncontrolled and ceiling that the control closes; None when there is no gap."""
        columns = zip(*((row.controlled, row.uncontrolled, row.ceiling) for row in self.rows), strict=True)
        controlled, uncontrolled, ceiling = columns
        return bootstrap_share(controlled, uncontrolled, ceiling)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        share = self.share
        return {
            "condition": self.condition,
            "measure": self.measure,
            "pictures": len(self.rows),
            "left_out": self.left_out,
            "controlled": self.controlled.to_dict(),
            "uncontrolled": self.uncontrolled.to_dict(),
            "ceiling": self.ceiling.to_dict(),
            "share_of_gap_closed": share.to_dict() if share else None,
            "others": {
                name: dict(zip(("controlled", "uncontrolled", "ceiling"), (one.to_dict() for one in three), strict=True))
                for name, three in self.others.items()
            },
            "settings": self.settings,
            "rows": [asdict(row) for row in self.rows],
        }

    def lines(self) -> list[str]:
        """The result for a person."""
        share, others = self.share, self.others.items()
        closed = f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]" if share else "none: the ceiling is no higher"
        return [
            f"{self.measure} over {len(self.rows)} pictures, with 95 % intervals",
            f"  with control     {self.controlled}",
            f"  without control  {self.uncontrolled}",
            f"  ceiling          {self.ceiling}  (the autoencoder's reconstruction of the truth)",
            f"  gap closed       {closed}",
            *(f"  {name:15}  {a.value:.3f}, without {b.value:.3f}, ceiling {c.value:.3f}" for name, (a, b, c) in others),
        ]
