"""The image pipeline: what comes out is right, and nobody copied a tensor on the way."""

import json
import random
import struct
import subprocess
import zlib

import pytest

from plugtest import build

EXAMPLES = build.BUILD / "plugins" / "examples"
PROGRAM = build.BUILD / "bin" / "image-pipeline"
PLUGINS = ("png-decode", "image-resize", "image-histogram")

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="libpng was not found: the pipeline is not built")


# ---- images, by hand ----------------------------------------------------------------------------


def pixels(width, height, channels, seed=1):
    return random.Random(seed).randbytes(width * height * channels)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(data, width, height, channels):
    row = width * channels
    lines = b"".join(b"\0" + data[y * row : (y + 1) * row] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")


def crop(data, width, channels, x, y, w, h):
    return b"".join(data[((y + i) * width + x) * channels :][: w * channels] for i in range(h))


def place(i, size, to):
    """The middle of output pixel i, in 1/65536 of an input pixel: low, high, weight of high."""
    at = min(max((2 * i + 1) * size * 32768 // to - 32768, 0), (size - 1) * 65536)
    low = at >> 16
    return low, min(low + 1, size - 1), at >> 8 & 255


def resized(data, width, height, channels, to_width, to_height):
    """Bilinear, in integers, as the plugin's README has it; written anew."""
    out = bytearray()
    for y in range(to_height):
        top, bottom, wy = place(y, height, to_height)
        for x in range(to_width):
            left, right, wx = place(x, width, to_width)
            for c in range(channels):
                a, b, d, e = (
                    data[(row * width + column) * channels + c]
                    for row in (top, bottom)
                    for column in (left, right)
                )
                above, below = a * (256 - wx) + b * wx, d * (256 - wx) + e * wx
                out.append((above * (256 - wy) + below * wy + 32768) >> 16)
    return bytes(out)


def histogram(data, channels):
    counts = [[0] * 256 for _ in range(channels)]
    for at, value in enumerate(data):
        counts[at % channels][value] += 1
    return counts


# ---- the pipeline -------------------------------------------------------------------------------


@pytest.fixture
def images(site):
    site.plugins = EXAMPLES
    site.start(env={"PLUGD_PNG_DECODE_MAX_BYTES": "12MiB"})
    assert site.ctl("start", "image-histogram").status == 0  # and those that it requires
    for name in PLUGINS:
        site.ready(name)
    return site


def run(site, data, *args, env=None):
    """The program's report, the pixels and the counts that it saved."""
    file, image, counts = (site.root / name for name in ("in.png", "image", "counts"))
    file.write_bytes(data)
    done = subprocess.run(
        [PROGRAM, "--runtime-dir", site.runtime, "--save-image", image, "--save-histogram", counts, *args, file],
        capture_output=True, text=True, env=site.environment(env), timeout=build.seconds(30),
    )
    assert done.returncode == 0, done.stderr
    raw = counts.read_bytes()
    numbers = struct.unpack(f"={len(raw) // 8}Q", raw)
    return json.loads(done.stdout), image.read_bytes(), [list(numbers[i : i + 256]) for i in range(0, len(numbers), 256)]


def fails(site, data, *args, env=None):
    file = site.root / "in.png"
    file.write_bytes(data)
    done = subprocess.run(
        [PROGRAM, "--runtime-dir", site.runtime, *args, file],
        capture_output=True, text=True, env=site.environment(env), timeout=build.seconds(30),
    )
    assert done.returncode == 1 and not done.stdout
    return done.stderr


def assert_no_copies(site):
    for name in PLUGINS:
        stats = site.call(name, "stats")
        assert (stats["copies"], stats["bytes_copied"]) == (0, 0), name


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("chained", [False, True])
def test_pixels_counts_and_no_copy(images, channels, chained):
    width, height = 61, 47
    data = pixels(width, height, channels)
    args = ["--chained"] if chained else ["--size", "64x64"]
    report, image, counts = run(images, png(data, width, height, channels), *args)
    expected = resized(data, width, height, channels, 64, 64)
    assert image == expected
    assert counts == histogram(expected, channels)
    assert report["image"] == f"uint8[64, 64, {channels}]"
    assert report["histogram"] == f"uint64[{channels}, 256]"
    assert (report["copies"], report["bytes_copied"]) == (0, 0)
    assert (report["calls_data"], report["calls_control"]) == (1 if chained else 3, 0)
    assert_no_copies(images)


def test_a_crop_is_a_view(images):
    width, height = 90, 70
    data = pixels(width, height, 3)
    _, image, counts = run(images, png(data, width, height, 3), "--crop", "11,7,33,22", "--size", "40x30")
    expected = resized(crop(data, width, 3, 11, 7, 33, 22), 33, 22, 3, 40, 30)
    assert image == expected and counts == histogram(expected, 3)
    assert_no_copies(images)


def test_a_photo_again_and_again(images):
    """Larger than any message; buffers are used again, nothing piles up."""
    width, height = 1200, 900
    data = png(bytes(pixels(width, 1, 3)) * height, width, height, 3)
    for _ in range(10):
        for args in ([], ["--chained"]):
            report, image, _ = run(images, data, *args)
            assert len(image) == 64 * 64 * 3 and report["copies"] == 0
    for name in PLUGINS:
        stats = images.call(name, "stats")
        # Of callers that are gone nothing is held; image-histogram, which is not, may still have the last
        # replies of the two others.
        assert stats["buffers"] <= 2 and stats["seen_arenas"] <= 2, (name, stats)


@pytest.mark.parametrize("chained", [[], ["--chained"]])
def test_files_that_are_no_images(images, chained):
    good = png(pixels(50, 50, 3), 50, 50, 3)
    assert "no PNG file" in fails(images, b"hello", *chained)
    assert "PNG" in fails(images, good[: len(good) // 2], *chained)
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 0xFF
    assert "damaged" in fails(images, bytes(damaged), *chained)
    assert "no PNG file" in fails(images, b"\x89PNG\r\n\x1a\n" + bytes(100), *chained)
    run(images, good, *chained)


def test_bytes_by_chance(images):
    chance = random.Random(4)
    good = png(pixels(20, 20, 4), 20, 20, 4)
    for _ in range(30):
        bad = bytearray(good)
        for _ in range(chance.randrange(1, 20)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        file = images.root / "in.png"
        file.write_bytes(bad)
        subprocess.run([PROGRAM, "--runtime-dir", images.runtime, file], capture_output=True, timeout=30)
    for name in PLUGINS:
        assert images.status(name)["generation"] == 1, name  # nobody died of it
    run(images, good)


def test_limits_of_size(images):
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    text = fails(images, bomb)
    assert "60000 x 60000" in text and "max_bytes" in text
    data = png(pixels(50, 50, 3), 50, 50, 3)
    assert "max_bytes" in fails(images, data, "--size", "60000x60000")
    assert "expected 1 to 65536" in fails(images, data, "--size", "0x5")
    assert "expected 1 to 65536" in fails(images, data, "--size", "65537x1")
    head = struct.pack(">IIBBBBB", 4096, 1025, 8, 2, 0, 0, 0)
    large = bomb.replace(bomb[8:33], chunk(b"IHDR", head))
    assert "the limit is 12582912" in fails(images, large)


def test_without_a_data_plane_it_says_so(images):
    text = fails(images, png(pixels(5, 5, 3), 5, 5, 3), env={"PLUG_DATA_PLANE": "off"})
    assert "data plane is off" in text
    done = images.ctl("call", "image-histogram", "histogram")
    assert done.status == 1 and 'no tensor "image"' in done.err


def test_a_plugin_that_is_not_there(images):
    images.ctl("stop", "image-resize")
    data = png(pixels(5, 5, 3), 5, 5, 3)
    assert "image-resize" in fails(images, data)
    assert "image-resize" in fails(images, data, "--chained")
    assert images.ctl("start", "image-resize").status == 0
    images.ready("image-resize", generation=2)
    run(images, data)
    run(images, data, "--chained")
