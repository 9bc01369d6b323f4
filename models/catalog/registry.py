"""The registry: the one list of model cards, with the backend, weights, licence and size of each.

Cards are data, in `models.catalog.cards`. Each names the class of its backend; its weights are in
`models.catalog.files` and `models.catalog.repositories`.
"""

from models.catalog.card import Card
from models.catalog.cards import bria, editing, processor, stable_diffusion, tiny, torch

CARDS: tuple[Card, ...] = (
    *processor.CARDS,
    *torch.CARDS,
    *stable_diffusion.CARDS,
    *editing.CARDS,
    *bria.CARDS,
    *tiny.CARDS,
)
