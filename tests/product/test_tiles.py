"""Large pictures: tiles give what the whole gives, exactly so in the integer path, and a region is
its part of the picture.
"""

from dataclasses import replace
from functools import partial
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from progcodec.bitstream import ordering
from progcodec.codec import passes
from progcodec.codec.codec import Codec
from progcodec.config import LATENT_STRIDE, ModelConfig
from progcodec.errors import ImageError, LimitError, RegionError
from progcodec.geometry import Box, region_box
from progcodec.network import tiles
from progcodec.network.hyperprior import HyperAnalysis, MeanPath
from progcodec.network.model import TRANSFORMS
from progcodec.network.tiles import Tiling, latent_box, over, spans, transform_field
from tests.lab.test_tic import TINY as TIC
from tests.lab.test_tic import stirred
from tests.support.command import run
from tests.support.rounding import assert_same_picture

SMALL = {"width": 8, "inner_width": 12, "blocks": (6, 4, 4), "hyper_channels": 4, "mean_width": 8,
         "scale_width": 8}  # fmt: skip
LITE = [
    ModelConfig(**SMALL, depth=depth, inner_depth=inner)
    for depth, inner in ((1, 1), (3, 2), (2, 1))
]
CUT = Tiling(side=4, context_side=8)
"""Tiles so small that a picture of some hundred pixels has many."""


@pytest.fixture(scope="module")
def cut_codec(golden_checkpoint):
    return Codec.load(golden_checkpoint, device="cpu", tiling=CUT)


# --- geometry -------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1, 2, 3, 4])
def test_spans_cover_an_axis_once_with_their_halos(unit):
    random = np.random.default_rng(unit)
    for _ in range(300):
        length, side = int(random.integers(1, 90)), unit * int(random.integers(1, 9))
        reach, first = int(random.integers(0, 20)), int(random.integers(0, length))
        last = int(random.integers(first + 1, length + 1))
        found = spans(first, last, length, side, reach, unit)
        assert found[0].start <= first < found[0].start + unit and last <= found[-1].stop <= length
        for span, following in pairwise(found):
            assert span.stop == following.start
        for span in found:
            assert 0 < span.stop - span.start <= side
            assert span.start % unit == span.low % unit == 0
            for end in (span.stop, span.high):
                assert end % unit == 0 or end == length
            assert 0 <= span.low <= max(0, span.start - reach)
            assert length >= span.high >= min(length, span.stop + reach)


def test_pictures_are_cut_from_some_size_on():
    lite, tic = ModelConfig(), ModelConfig(family="tic", width=128)
    assert len(Tiling().transform(lite, 180, 180)) == len(Tiling().transform(tic, 90, 90)) == 1
    hundred = Tiling().transform(lite, 542, 722)
    assert len(hundred) == 5 * 6
    areas = [tile.reads.height * tile.reads.width for tile in hundred]
    assert max(areas) <= (128 + 16) ** 2
    assert len(Tiling().transform(tic, 100, 100)) == 4
    assert len(Tiling().mean(542, 722)) == 3 * 3 and len(Tiling().mean(362, 362)) == 1


# --- networks: the declared reach is enough, and no guess -----------------------------------------


@pytest.mark.parametrize(
    "config", [*LITE, TIC], ids=lambda c: f"{c.family}-{c.depth}-{c.inner_depth}"
)
@pytest.mark.parametrize("network", [0, 1], ids=["analysis", "synthesis"])
def test_transforms_in_tiles(monkeypatch, config, network):
    module = stirred(TRANSFORMS[config.family][network](config))
    reach, unit = transform_field(config)
    height, width = 2 * reach + 5, 2 * reach + 2
    stride_in, stride_out = (LATENT_STRIDE, 1) if network == 0 else (1, LATENT_STRIDE)
    channels = 3 if network == 0 else config.latent_channels
    generator = torch.Generator().manual_seed(1)
    size = 1, channels, stride_in * height, stride_in * width
    x = torch.rand(size, generator=generator, dtype=torch.float64)
    whole = module(x)

    def worst(reach: int) -> float:
        field = tiles.Field(reach, unit)
        monkeypatch.setattr(tiles, "transform_field", lambda config: field)
        found = Tiling(side=2 * unit, context_side=8).transform(config, height, width)
        assert len(found) > 4

        def part(tile) -> torch.Tensor:
            return module(tile.reads.over(stride_out).times(stride_in).cut(x))

        joined = tiles.stitched([tile.times(stride_out) for tile in found], part)
        return float((joined - whole).abs().max())

    assert worst(reach) < 1e-9
    # in tic, the bound is one of the windows' geometry, not met by every position
    if config.family == "lite":
        assert worst(reach - 1) > 1e-9


@pytest.mark.parametrize("part", ["hyper", "shared", "mean", "index"])
def test_the_other_reaches_are_met_too(monkeypatch, part):
    """With a halo of one unit less than declared, something differs."""
    config, size = replace(LITE[0], hyper_linear=2), (44, 41)
    generator = torch.Generator().manual_seed(2)
    y = torch.randn(1, config.latent_channels, *size, generator=generator, dtype=torch.float64)
    h_a, mean_path = stirred(HyperAnalysis(config)), stirred(MeanPath(config), 1)
    h_a.spread.data.abs_().add_(0.5)
    mean_path.spread.data.abs_().add_(0.5)
    codec = random_scale_path(config)
    z = torch.randint(-3, 4, (1, config.hyper_channels, 11, 11), generator=generator)
    shape = 1, config.offsets[2], *size
    q = torch.randint(-9, 10, shape, generator=generator).to(torch.int8).numpy()

    def everything(tiling: Tiling) -> list[torch.Tensor]:
        prior = passes.prior(mean_path, z.double(), *size, tiling)
        features = passes.features(codec, z.numpy(), *size, tiling)
        if part == "hyper":
            return [passes.hyper_analyse(h_a, y, tiling), prior, features.double()]
        prefix = y[:, : config.offsets[2]]
        if part == "shared":
            cut = tiling.shared(*size)
            return [over(cut, mean_path.features, prior, p) for p in (None, prefix)]
        if part == "mean":
            cut, shared = tiling.mean(*size), mean_path.features(prior, prefix)
            return [
                over(cut, partial(mean_path.mean, 0), shared, prior, None),
                over(cut, partial(mean_path.mean, 2), shared, prior, prefix),
            ]
        return [torch.from_numpy(passes.index(codec, 2, features, q, [0], tiling)).double()]

    def worst() -> list[float]:
        pairs = zip(everything(CUT), everything(Tiling(64, 64)), strict=True)
        return [float((a - b).abs().max()) for a, b in pairs]

    assert max(worst()) < 1e-9
    name, unit = f"{part.upper()}_REACH", 4 if part == "hyper" else 1
    monkeypatch.setattr(tiles, name, getattr(tiles, name) - unit)
    assert worst()[-1] > 1e-9


# --- the integer path -----------------------------------------------------------------------------


def random_scale_path(config: ModelConfig):
    from progcodec.network.scale import FrozenConv, ScalePath

    generator = torch.Generator().manual_seed(3)
    path = ScalePath(config, frozen=True)
    for layer in (module for module in path.modules() if isinstance(module, FrozenConv)):
        weight = torch.randint(-127, 128, layer.weight.shape, generator=generator)
        layer.weight = weight.to(torch.int8)
        layer.multiplier = torch.full_like(layer.multiplier, 2**17)
        layer.check()
    return path


def assert_same_indexes(codec: Codec, size: tuple[int, int], tiling: Tiling) -> None:
    config, path = codec.config, codec.walker.scale_path
    random = np.random.default_rng(4)
    quarters = (-(-side // 4) for side in size)
    z = random.integers(-6, 7, (2, config.hyper_channels, *quarters)).astype(np.int8)
    q = np.rint(random.laplace(0, 3, (2, config.latent_channels, *size)))
    q = q.clip(-127, 127).astype(np.int8)
    with torch.inference_mode():
        features = path.features(passes.exact(z), *size)
        tiled = passes.features(path, z, *size, tiling)
        assert len(tiling.hyper(*size)) > 4 and torch.equal(tiled.float(), features)
        for k, start in enumerate(config.offsets[:-1]):
            earlier = q[:, :start] if k else None
            for qualities in ([0, 0], [-3, 5]):
                exact = None if earlier is None else passes.exact(earlier)
                one = path.index(k, features, exact, qualities)
                many = passes.index(path, k, tiled, earlier, qualities, tiling)
                assert many.dtype == np.uint8 and np.array_equal(many, one.numpy())
                assert len(np.unique(many)) > 3  # constant indexes would prove little


@pytest.mark.parametrize("size", [(37, 42), (40, 9), (5, 61)])
def test_integer_path_of_the_golden_models_is_bit_identical(golden_codec, size):
    assert_same_indexes(golden_codec, size, Tiling(4, 4))


def test_integer_path_of_the_shipped_model_is_bit_identical():
    assert_same_indexes(Codec.load(device="cpu"), (37, 42), Tiling(12, 12))


@pytest.mark.parametrize("ranked", [False, True])
def test_coding_order_does_not_depend_on_the_chunks(monkeypatch, ranked):
    rng = np.random.default_rng(5)
    indexes = rng.integers(0, 64, (7, 5, 6)).astype(np.uint8)
    priorities = rng.integers(0, 256, (7, 64)).astype(np.uint8) if ranked else None
    order, runs = ordering.coding_order(indexes, priorities)
    monkeypatch.setattr(ordering, "CHUNK", 13)
    again, runs_again = ordering.coding_order(indexes, priorities)
    assert np.array_equal(again, order) and runs_again == runs


# --- the codec ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture(photograph) -> Image.Image:
    """Neither side a multiple of 16, and 22 × 17 latent positions."""
    return photograph.resize((347, 259), Image.Resampling.LANCZOS)


def test_decoding_in_tiles_leaves_no_seam(golden_codec, cut_codec, picture):
    data = golden_codec.encode(picture)
    assert len(cut_codec.walker.tiling.transform(cut_codec.config, 17, 22)) == 30
    for length in (len(data), len(data) // 2, 80):
        assert_same_picture(cut_codec.decode(data[:length]), golden_codec.decode(data[:length]))
    one, many = (codec.decode_latent(data) for codec in (golden_codec, cut_codec))
    assert np.array_equal(one.q, many.q) and one.q.dtype == many.q.dtype == np.int32
    assert torch.allclose(one.y, many.y, atol=1e-4)


def test_encoding_in_tiles_gives_the_same_symbols(golden_codec, cut_codec, picture):
    """But for those that float rounding moves over the edge of a step."""
    other = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    one, many = (codec.coded_segments([picture, other]) for codec in (golden_codec, cut_codec))
    for a, b in zip(chain(*one), chain(*many), strict=True):
        assert np.mean(a.symbols != b.symbols) < 1e-3
    assert_same_picture(
        golden_codec.decode(cut_codec.encode(picture)),
        golden_codec.decode(golden_codec.encode(picture)),
    )


def test_every_kind_of_image_is_read_in_tiles(cut_codec, picture):
    array = np.asarray(picture)
    data = cut_codec.encode(picture)
    seen = []
    handle = cut_codec.walker.analysis.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].shape)
    )
    floats = torch.from_numpy(array.copy()).permute(2, 0, 1) / 255
    for image in (array, array[::-1].copy()[::-1], floats, floats[None], picture.convert("RGBA")):
        assert cut_codec.encode(image) == data
    handle.remove()
    side = 16 * (4 + 2 * transform_field(cut_codec.config).reach)
    assert len(seen) == 5 * 30 and max(max(shape[2:]) for shape in seen) <= side
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        cut_codec.encode(2 * floats)
    with pytest.raises(LimitError, match="347 x 259 pixels are more than the limit of 89,872"):
        cut_codec.encode(array, max_pixels=89_872)
    grey = picture.convert("L")
    data = cut_codec.encode(grey)
    assert cut_codec.encode(np.asarray(grey)) == cut_codec.encode(grey.convert("RGB")) == data


# --- regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "regions"),
    [
        ((347, 259), [(0, 0, 347, 259), (346, 258, 1, 1), (100, 60, 64, 48), (13, 201, 300, 58),
                      (160, 0, 17, 259)]),
        ((1, 1), [(0, 0, 1, 1)]),
        ((1, 40), [(0, 0, 1, 1), (0, 39, 1, 1), (0, 9, 1, 20)]),
        ((33, 1), [(32, 0, 1, 1), (16, 0, 17, 1)]),
        ((90, 70), [(89, 69, 1, 1), (45, 0, 45, 70)]),
    ],
)  # fmt: skip
def test_a_region_is_its_part_of_the_picture(golden_codec, cut_codec, picture, size, regions):
    data = golden_codec.encode(picture if size == picture.size else picture.resize(size))
    for options in ({}, {"level": "coarse"}, {"max_bytes": max(20, len(data) // 3)}):
        whole = golden_codec.decode(data, **options)
        for x, y, w, h in regions:
            part = whole.crop((x, y, x + w, y + h))
            for codec in (golden_codec, cut_codec):
                assert_same_picture(codec.decode(data, region=(x, y, w, h), **options), part)


def test_a_region_of_a_long_picture_needs_only_its_surroundings(golden_codec, photograph):
    """The float networks see a window alone, and it comes out right far from every edge of the
    picture.
    """
    strip = np.tile(np.asarray(photograph)[:96], (1, 4, 1))
    data = golden_codec.encode(strip)
    width = strip.shape[1]
    seen = {"mean": 0, "synthesis": 0}
    walker = golden_codec.walker

    def watch(name: str):
        def hook(module, inputs) -> None:
            seen[name] = max(seen[name], inputs[0].shape[3])

        return hook

    hooks = [
        walker.mean_path.context.register_forward_pre_hook(watch("mean")),
        walker.synthesis.register_forward_pre_hook(watch("synthesis")),
    ]
    part = golden_codec.decode(data, region=(width // 2, 8, 40, 64))
    for hook in hooks:
        hook.remove()
    assert 0 < seen["synthesis"] < seen["mean"] < width // 16 - 40
    assert_same_picture(part, golden_codec.decode(data).crop((width // 2, 8, width // 2 + 40, 72)))
    assert latent_box(golden_codec.config, Box(8, 0, 72, 40), width, 96)[:3] == (0, 0, 6)


def test_regions_of_a_batch(golden_codec, picture):
    images = picture, picture.transpose(Image.Transpose.ROTATE_180)
    streams = [golden_codec.encode(image) for image in images]
    parts = golden_codec.decode_batch(streams, region=(20, 30, 50, 40))
    for stream, part in zip(streams, parts, strict=True):
        assert_same_picture(part, golden_codec.decode(stream).crop((20, 30, 70, 70)))


INSIDE = "is not inside the picture of 347 x 259 pixels"
NUMBERS = "four whole numbers"


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ((-1, 0, 5, 5), INSIDE), ((0, 0, 0, 5), INSIDE), ((0, 0, 5, -5), INSIDE),
        ((343, 0, 5, 5), INSIDE), ((0, 255, 5, 5), INSIDE), ((10**12, 0, 1, 1), INSIDE),
        ((0, 0, 5), NUMBERS), ("abcd", NUMBERS), (7, NUMBERS), ((0, 0, 1.5, 2), NUMBERS),
        ((0, 0, float("nan"), 2), NUMBERS), ((0, 0, None, 1), NUMBERS),
    ],
)  # fmt: skip
def test_what_is_no_region_of_the_picture(tiny_codec, region, told):
    with pytest.raises(RegionError, match=told):
        region_box(region, 347, 259)
    with pytest.raises(RegionError):
        tiny_codec.decode(tiny_codec.encode(Image.new("RGB", (20, 20))), region=region)


def test_the_command(tmp_path, tiny, tiny_codec, picture):
    path, part = tmp_path / "photo.shc", tmp_path / "part.png"
    path.write_bytes(tiny_codec.encode(picture))
    run("decode", path, *tiny, "--region", "100,60,64,48", "-o", part)
    whole = tiny_codec.decode(path.read_bytes())
    assert_same_picture(Image.open(part), whole.crop((100, 60, 164, 108)))
    for wrong in ("1,2,3", "a,b,c,d", ""):
        assert "four whole numbers" in run("decode", path, *tiny, "--region", wrong, code=2).stderr
