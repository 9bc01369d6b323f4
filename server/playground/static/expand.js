// The editor of an expansion: handles on each side of the picture, which fields of the form follow.
import { html, icon, useRef } from "./html.js";

const SIDES = ["left", "right", "top", "bottom"];
const KEY_STEP = 16;
const GROW = { left: ["ArrowLeft", "ArrowRight"], right: ["ArrowRight", "ArrowLeft"], top: ["ArrowUp", "ArrowDown"], bottom: ["ArrowDown", "ArrowUp"] };

/** Return the margins that the fields of the form describe, in pixels of the picture. */
export function marginsOf(values, picture) {
  const [width, height] = values.canvas_size ?? [];
  const [x, y] = values.original_image_location ?? [];
  if ([width, height, x, y].some((one) => !Number.isFinite(one))) return { left: 0, right: 0, top: 0, bottom: 0 };
  return { left: x, right: width - x - picture.width, top: y, bottom: height - y - picture.height };
}

function fieldsOf({ left, right, top, bottom }, { width, height }) {
  return {
    canvas_size: [width + left + right, height + top + bottom],
    original_image_size: [width, height],
    original_image_location: [left, top],
    aspect_ratio: undefined,
  };
}

/** change: gets several fields at once. */
export function ExpandEditor({ picture, values, change }) {
  const margins = marginsOf(values, picture);
  const frame = useRef();
  const set = (side, pixels) => {
    const most = 2 * Math.max(picture.width, picture.height);
    const next = { ...margins, [side]: Math.round(Math.min(most, Math.max(0, pixels))) };
    change(fieldsOf(next, picture));
  };
  const all = (share) => {
    const [x, y] = [Math.round(picture.width * share), Math.round(picture.height * share)];
    change(fieldsOf({ left: x, right: x, top: y, bottom: y }, picture));
  };
  const reset = () => change({ canvas_size: undefined, original_image_size: undefined, original_image_location: undefined });
  // Room for the handles, so that there is something to drag outwards.
  const room = 0.5;
  const [width, height] = [picture.width + margins.left + margins.right, picture.height + margins.top + margins.bottom];
  const whole = [Math.max(width, picture.width * (1 + 2 * room)), Math.max(height, picture.height * (1 + 2 * room))];
  const drag = (side) => (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.currentTarget.focus();
    const handle = event.currentTarget;
    const scale = whole[0] / frame.current.getBoundingClientRect().width;
    const isAcross = side === "left" || side === "right";
    const from = isAcross ? event.clientX : event.clientY;
    const sign = side === "left" || side === "top" ? -1 : 1;
    // Both sides move apart while the frame is centred, so a margin grows by twice the way of the pointer
    // once the frame has no more room; before that the picture stays where it is.
    const start = margins[side];
    const move = (moved) => set(side, start + sign * scale * 2 * ((isAcross ? moved.clientX : moved.clientY) - from));
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
  };
  const press = (side) => (event) => {
    const way = GROW[side].indexOf(event.key);
    if (way < 0) return;
    event.preventDefault();
    set(side, margins[side] + (way === 0 ? 1 : -1) * KEY_STEP * (event.shiftKey ? 4 : 1));
  };
  const percent = (part, of) => `${(part / of) * 100}%`;
  return html`<section class="expand" aria-label="New edges of the picture">
    <div class="toolbar">
      <button type="button" class="button" onClick=${() => all(0.25)}>A quarter on each side</button>
      <button type="button" class="button" onClick=${reset}>${icon("undo")}Reset</button>
      <span class="spring"></span><span class="muted" role="status">${width} × ${height}</span>
    </div>
    <div class="canvas"><div class="room" ref=${frame} style=${{ "--ratio": whole[0] / whole[1] }}>
      <div class="new-frame checked" style=${{ width: percent(width, whole[0]), height: percent(height, whole[1]) }}>
        <img src=${picture.url} alt="The picture to edit" draggable="false"
          style=${{ left: percent(margins.left, width), top: percent(margins.top, height), width: percent(picture.width, width), height: percent(picture.height, height) }} />
        ${SIDES.map((side) => html`<button type="button" key=${side} class="handle ${side}" role="slider" aria-orientation=${side === "left" || side === "right" ? "horizontal" : "vertical"}
          aria-label="Margin at the ${side}" aria-valuemin="0" aria-valuemax=${2 * Math.max(picture.width, picture.height)} aria-valuenow=${margins[side]} aria-valuetext="${margins[side]} pixels"
          onPointerDown=${drag(side)} onKeyDown=${press(side)}></button>`)}
      </div>
    </div></div>
  </section>`;
}
