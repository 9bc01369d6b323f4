"""Writing layers to a PSD file."""

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
    """A layer: its pixels, and the position of its upper left corner on the canvas in pixels.

    The colours are not premultiplied by alpha.
    """

    name: str
    rgb: Rgb
    alpha: Alpha8
    left: int = 0
    top: int = 0


def write_psd(merged: Picture, layers: Iterable[Layer]) -> bytes:
    """Return a PSD file of `layers`. All are visible and use the blend mode "normal".

    merged: the picture that a viewer without layers shows. The canvas has its size; each side is at
    most MAX_SIDE. layers: the lowest first. Each is compressed when it arrives, so a generator
    needs to hold only one of them at a time.
    """
    records, data = LayerRecords(), ChannelImageData()
    for layer in layers:
        record, channels = _compress(layer)
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


def _compress(layer: Layer) -> tuple[LayerRecord, ChannelDataList]:
    """Compress a layer's channels by run-length encoding. Return its record and its data."""
    height, width = layer.alpha.shape
    record = LayerRecord(
        top=layer.top, left=layer.left, bottom=layer.top + height, right=layer.left + width
    )
    # Old readers use the first name, which can only hold Mac Roman letters. New readers use the second.
    record.name = layer.name.encode("ascii", "replace").decode()
    record.tagged_blocks.set_data(Tag.UNICODE_LAYER_NAME, layer.name)
    # Transparency comes last, although Photoshop writes it first. Most readers use a channel's id,
    # but Pillow uses its position, and expects even lengths.
    planes = [*cv2.split(layer.rgb), layer.alpha]
    channels = ChannelDataList()
    for identity, plane in zip(_CHANNELS, planes, strict=True):
        channel = ChannelData(Compression.RLE)
        channel.set_data(plane.tobytes(), width, height, 8)
        channel.data += bytes(len(channel.data) % 2)
        record.channel_info.append(ChannelInfo(identity, len(channel.data) + 2))
        channels.append(channel)
    return record, channels


def _merge(picture: Picture, header: FileHeader) -> ImageData:
    """Compress the merged picture. Transparent pixels lie on white, as in Photoshop's own files."""
    planes = list(cv2.split(picture.rgb))
    if picture.alpha is not None:
        planes = [*cv2.split(flatten(picture.rgb, picture.alpha, 255)), picture.alpha]
    data = ImageData(Compression.RLE)
    data.set_data([plane.tobytes() for plane in planes], header)
    return data
