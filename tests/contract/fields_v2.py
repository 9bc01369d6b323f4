"""The fields that routes of version 2 share."""

from tests.contract.route import LINK, TEXT, Field

IMAGE = Field("image", "string", required=True)
MASK = Field("mask", "string", required=True)
SYNC = Field("sync", "boolean", default=False)
WEBHOOK = Field("webhook_url", "string")
PRESERVE_ALPHA = Field("preserve_alpha", "boolean", default=True)
PROMPT_MODERATION = Field("prompt_content_moderation", "boolean", default=True)
INPUT_MODERATION = Field("visual_input_content_moderation", "boolean", default=False)
OUTPUT_MODERATION = Field("visual_output_content_moderation", "boolean", default=False)
NEGATIVE_PROMPT = Field("negative_prompt", "string")
REFINE_PROMPT = Field("refine_prompt", "boolean", default=True)
FORCE = Field("force_background_detection", "boolean", default=False)
SEED = Field("seed", "integer")
MASK_TYPE = Field("mask_type", "string", default="manual", enum=("manual", "automatic"))
IP_SIGNAL = Field("ip_signal", "boolean", default=False)
COMMON = (IMAGE, SYNC, WEBHOOK, INPUT_MODERATION, OUTPUT_MODERATION)
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9")
ASPECT_RATIO = Field("aspect_ratio", "word or number", enum=RATIOS, low=0.5, high=3.0)
IMAGE_URL = {"image_url": LINK}
ACCEPTED = {"request_id": TEXT, "status_url": LINK}
"""The answer 202 of every route."""
OF_IMAGE = {"image": "URL"}
OF_MASK = {"image": "URL", "mask": "URL"}
