"""Textures stay between their colours, and noise is smooth, bounded and periodic."""

from typing import get_args

import numpy as np
import pytest

from zeroconv.world.geometry.materials import FlatTexture, Material, SolidTexture, paint
from zeroconv.world.geometry.noise import lattice, noise
from zeroconv.world.geometry.palette import COLOURS, linear
from zeroconv.world.geometry.textures import FLAT, SOLID, albedo
from zeroconv.world.geometry.vectors import Floats

TWO_COLOURS = ("checker", "stripes", "bands", "tiles", "rings", "beach ball")


def points() -> tuple[Floats, Floats]:
    draw = np.random.default_rng(1)
    normals = draw.normal(size=(3, 2000)).astype(np.float32)
    return draw.uniform(-3, 3, (3, 2000)).astype(np.float32), normals / np.linalg.norm(normals, axis=0)


def test_every_texture_has_its_function() -> None:
    assert set(FLAT) == set(get_args(FlatTexture))
    assert set(SOLID) == set(get_args(SolidTexture))


@pytest.mark.parametrize("texture", [*get_args(FlatTexture), *get_args(SolidTexture)])
def test_colours_are_finite_and_never_much_brighter_than_the_material(texture: FlatTexture | SolidTexture) -> None:
    material = paint((200, 100, 50), texture, 2.0, (40, 80, 160))
    colour = albedo(material, *points())
    assert colour.shape == (3, 2000)
    assert np.isfinite(colour).all()
    assert colour.min() >= 0
    brightest = np.maximum(linear((200, 100, 50)), linear((40, 80, 160)))
    assert (colour.max(1) <= brightest * 1.5).all()
    assert len(np.unique(colour[0])) >= 2


@pytest.mark.parametrize("texture", TWO_COLOURS)
def test_hard_textures_know_two_colours_only(texture: FlatTexture | SolidTexture) -> None:
    colour = albedo(paint((200, 100, 50), texture, 2.0, (40, 80, 160)), *points())
    assert len(np.unique(colour[0])) == 2


def test_plain_is_plain_and_the_second_colour_is_darker_by_default() -> None:
    plain = Material(linear((255, 0, 0)))
    np.testing.assert_allclose(albedo(plain, *points()), np.broadcast_to([[1], [0], [0]], (3, 2000)))
    striped = Material(linear((255, 0, 0)), "stripes")
    np.testing.assert_allclose(np.unique(albedo(striped, *points())[0]), [0.6, 1.0])


def test_noise_is_bounded_periodic_and_spread_out() -> None:
    draw = np.random.default_rng(2)
    u, v = draw.uniform(0, 8, (2, 5000)).astype(np.float32)
    values = noise(u, v)
    assert values.min() >= 0
    assert values.max() <= 1
    np.testing.assert_allclose(noise(u + 8, v - 16), values, atol=1e-3)
    step = np.float32(1e-3)
    assert np.abs(noise(u + step, v) - values).max() < 0.05
    assert 0.2 < lattice().std() < 0.35


def test_linear_light_is_the_inverse_of_the_tone_curve_power() -> None:
    for rgb in COLOURS.values():
        np.testing.assert_allclose(linear(rgb) ** (1 / 2.2) * 255, rgb, rtol=1e-5)
