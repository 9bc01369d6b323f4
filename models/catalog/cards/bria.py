"""The cards of BRIA 2.3, which run with torch.

Weights and work are counted as in `models.catalog.cards.stable_diffusion`.
"""

from models import roles
from models.catalog import repositories
from models.catalog.card import Card

CARDS: tuple[Card, ...] = (
    Card(
        role=roles.SCENE_GENERATION,
        name="bria-scene",
        backend="models.backends.diffusion.bria:BriaScene",
        files=(),
        folders=(
            repositories.BRIA_FAST,
            repositories.bria_control("BG-Gen"),
            repositories.BRIA,
            repositories.BRIA_IMAGE_PROMPT,
        ),
        licence="weights under BRIA licences: non-commercial, or by contract",
        memory_mb=13390,
        work_mb=2500,
        shared_mb=6620,
        dtype="float16",
        torch=True,
    ),
    Card(
        role=roles.GENERATIVE_FILL,
        name="bria-fill",
        backend="models.backends.diffusion.bria:BriaFill",
        files=(),
        folders=(repositories.BRIA_FAST, repositories.bria_control("Generative-Fill")),
        licence="weights under BRIA licences: non-commercial, or by contract",
        memory_mb=11510,
        work_mb=2500,
        shared_mb=6620,
        dtype="float16",
        torch=True,
    ),
    Card(
        role=roles.OUTPAINTING,
        name="bria-expand",
        backend="models.backends.diffusion.bria:BriaExpand",
        files=(),
        folders=(repositories.BRIA_FAST, repositories.BRIA_EXPANSION),
        licence="weights under BRIA licences: non-commercial, or by contract",
        memory_mb=11510,
        work_mb=2500,
        shared_mb=6620,
        dtype="float16",
        torch=True,
    ),
    Card(
        role=roles.INPAINTING,
        name="bria-erase",
        backend="models.backends.diffusion.bria:BriaErase",
        files=(),
        folders=(repositories.BRIA_FAST, repositories.BRIA_ERASER, repositories.BIG_LAMA_FOLDER),
        licence=("weights under BRIA licences: non-commercial, or by contract; LaMa Apache-2.0"),
        memory_mb=11705,
        work_mb=2500,
        shared_mb=6620,
        dtype="float16",
        torch=True,
    ),
)
