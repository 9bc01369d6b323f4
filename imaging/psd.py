"""Writes layers to a PSD file."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import cv2
from psd_tools.constants import ChannelID, Compression, Tag
from psd_tools.psd import PSD, ChannelImageData, LayerInfo, LayerRecords
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_data import ImageData
from psd_tools.psd.image_resources import ImageResources
from psd_tools.psd.layer_and_mask import (
    ChannelData,
    ChannelDataList,
    ChannelInfo,
    LayerAndMaskInformation,
    LayerRecord,
)

from imaging.compositing import flatten
from imaging.picture import Alpha8, Picture, Rgb

MAX_SIDE = 30_000
"""The longest side in pixels that a PSD file can have (Adobe Photoshop File Formats)."""

_CHANNELS = (
    ChannelID.CHANNEL_0,
    ChannelID.CHANNEL_1,
    ChannelID.CHANNEL_2,
    ChannelID.TRANSPARENCY_MASK,
)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer: its pixels, not premultiplied, and its upper left corner on the canvas."""

    name: str
    rgb: Rgb
    alpha: Alpha8
    left: int = 0
    top: int = 0


def write_psd(merged: Picture, layers: Iterable[Layer]) -> bytes:
    """Return a PSD file of `layers`, the lowest first, all visible, in normal mode.

    merged: what a viewer without layers shows; the canvas has its size, at most MAX_SIDE a side.
    Layers are packed as they come, so that a generator of them holds one at a time.
    """
    records, data = LayerRecords(), ChannelImageData()
    for layer in layers:
        record, channels = _pack(layer)
        records.append(record)
        data.append(channels)
    planes = 3 if merged.alpha is None else 4
    header = FileHeader(channels=planes, height=merged.height, width=merged.width)
    # A negative count says that the merged picture's fourth channel is its transparency.
    count = len(records) if merged.alpha is None else -len(records)
    document = PSD(
        header=header,
        image_resources=ImageResources.new(),
        layer_and_mask_information=LayerAndMaskInformation(LayerInfo(count, records, data)),
        image_data=_merge(merged, header),
    )
    out = BytesIO()
    document.write(out)
    return out.getvalue()


def _pack(layer: Layer) -> tuple[LayerRecord, ChannelDataList]:
    """Pack a layer's channels by run lengths; returns its record and its data."""
    height, width = layer.alpha.shape
    record = LayerRecord(
        top=layer.top, left=layer.left, bottom=layer.top + height, right=layer.left + width
    )
    # Old readers take the first name, which knows no letters beyond Mac Roman; new ones the other.
    record.name = layer.name.encode("ascii", "replace").decode()
    record.tagged_blocks.set_data(Tag.UNICODE_LAYER_NAME, layer.name)
    # Transparency comes last, though Photoshop has it first: most readers go by a channel's id, but
    # Pillow goes by place, and expects even lengths.
    planes = [*cv2.split(layer.rgb), layer.alpha]
    channels = ChannelDataList()
    for identity, plane in zip(_CHANNELS, planes, strict=True):
        packed = ChannelData(Compression.RLE)
        packed.set_data(plane.tobytes(), width, height, 8)
        packed.data += bytes(len(packed.data) % 2)
        record.channel_info.append(ChannelInfo(identity, len(packed.data) + 2))
        channels.append(packed)
    return record, channels


def _merge(picture: Picture, header: FileHeader) -> ImageData:
    """Pack the merged picture; where it is transparent it lies on white, as Photoshop has it."""
    planes = list(cv2.split(picture.rgb))
    if picture.alpha is not None:
        planes = [*cv2.split(flatten(picture.rgb, picture.alpha, 255)), picture.alpha]
    data = ImageData(Compression.RLE)
    data.set_data([plane.tobytes() for plane in planes], header)
    return data
