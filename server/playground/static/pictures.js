// The control of a field that is a list of pictures: add by drop, paste or choice, put in order, remove.
import { boxOf } from "./calls.js";
import { html, icon, useRef, useState } from "./html.js";
import { readPicture } from "./picker.js";

const SIDES = ["x", "y", "width", "height"];

/** value: pictures. scene: the picture of the stage, in which products have boxes; null without one. */
export function Pictures({ field, value = [], change, id, described, invalid, scene }) {
  const input = useRef();
  const [problem, setProblem] = useState(null);
  const latest = useRef(value);
  latest.current = value;
  const add = async (files) => {
    const room = field.most - latest.current.length;
    const read = await Promise.allSettled(files.slice(0, room).map((one) => readPicture(one, one.name)));
    const refused = read.filter((one) => one.status === "rejected").map((one) => one.reason.message);
    if (files.length > room) refused.push(`${field.label}: ${field.most} at most. The others were left out.`);
    setProblem(refused[0] ?? null);
    const taken = read.filter((one) => one.status === "fulfilled").map((one) => one.value);
    if (taken.length > 0) change([...latest.current, ...taken].slice(0, field.most));
  };
  const set = (items) => {
    setProblem(null);
    change(items.length > 0 ? items : undefined);
  };
  const move = (from, to) => {
    const items = value.filter((_, place) => place !== from);
    items.splice(to, 0, value[from]);
    set(items);
  };
  const place = (index, side, pixels) =>
    set(value.map((one, at) => (at === index ? { ...one, box: { ...boxOf(one, scene, index), [side]: pixels } } : one)));
  const receive = (list) => (event) => {
    const files = [...event[list].files]; // which are gone after the event
    if (files.length === 0) return;
    event.preventDefault();
    add(files);
  };
  const chosen = (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    add(files);
  };
  const isFull = value.length >= field.most;
  return html`<div class="picture-list" data-takes-pictures role="group" aria-labelledby="${id}-label" aria-describedby=${described}
    onDrop=${receive("dataTransfer")} onPaste=${receive("clipboardData")}>
    ${value.length > 0 && html`<ol>
      ${value.map((one, index) => html`<li key=${one.id}>
        <${Row} one=${one} index=${index} count=${value.length} move=${move} remove=${() => set(value.filter((other) => other !== one))} />
        ${field.hasBoxes && html`<${Box} box=${boxOf(one, scene, index)} name=${one.name} set=${(side, pixels) => place(index, side, pixels)} invalid=${invalid} />`}
      </li>`)}
    </ol>`}
    <div class="file-row">
      <button type="button" class="button" id=${id} disabled=${isFull} aria-describedby="${id}-count" onClick=${() => input.current.click()}>
        ${icon("upload")}${field.most === 1 ? "Add a picture" : "Add pictures"}</button>
      <span class="muted" id="${id}-count" role="status">${value.length} of ${field.most}</span>
    </div>
    <input ref=${input} type="file" accept="image/jpeg,image/png,image/webp" multiple=${field.most > 1} hidden tabindex="-1"
      aria-label=${field.label} onChange=${chosen} />
    ${problem && html`<p class="refusal" role="alert">${icon("alert")}${problem}</p>`}
  </div>`;
}

function Row({ one, index, count, move, remove }) {
  const tool = (label, sign, act, isOff) => html`<button type="button" class="button quiet square" aria-label="${label}: ${one.name}" title=${label}
    disabled=${isOff} onClick=${act}>${icon(sign)}</button>`;
  return html`<div class="picture-row">
    <img src=${one.url} alt="" />
    <span class="picture-name"><strong>${one.name}</strong><span class="muted">${one.width} × ${one.height}</span></span>
    ${count > 1 && html`${tool("Earlier", "up", () => move(index, index - 1), index === 0)}
    ${tool("Later", "down", () => move(index, index + 1), index === count - 1)}`}
    ${tool("Remove", "trash", remove, false)}
  </div>`;
}

/** Where a product goes, in pixels of the scene. */
function Box({ box, name, set, invalid }) {
  return html`<span class="boxes" role="group" aria-label="Place of ${name} in the scene, in pixels">
    ${SIDES.map((side) => html`<label key=${side}><span>${side[0].toUpperCase() + side.slice(1)}</span>
      <input type="number" class="input" inputmode="numeric" value=${box?.[side] ?? ""} aria-invalid=${invalid}
        onInput=${(event) => event.target.value !== "" && set(side, Number(event.target.value))} /></label>`)}
  </span>`;
}

/** Return a box that is moved or, at its corner, made larger, by some pixels. It stays within the scene in part, and no larger. */
function moved(box, across, down, isCorner, scene) {
  const within = (value, least, most) => Math.round(Math.min(most, Math.max(least, value)));
  if (!isCorner) return { ...box, x: within(box.x + across, 1 - box.width, scene.width - 1), y: within(box.y + down, 1 - box.height, scene.height - 1) };
  const most = Math.min(scene.width / box.width, scene.height / box.height);
  const scale = Math.min(most, Math.max(8 / box.width, (box.width + across) / box.width));
  return { ...box, width: within(box.width * scale, 1, scene.width), height: within(box.height * scale, 1, scene.height) };
}

/** The scene with the products on it: drag one to its place, or its corner. The form has the same boxes as numbers. */
export function Scene({ picture, products, change }) {
  const frame = useRef();
  const percent = (part, whole) => `${(part / whole) * 100}%`;
  const drag = (index, isCorner) => (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    const handle = event.currentTarget;
    const scale = picture.width / frame.current.getBoundingClientRect().width;
    const box = boxOf(products[index], picture, index);
    const move = ({ clientX, clientY }) => {
      const next = moved(box, (clientX - event.clientX) * scale, (clientY - event.clientY) * scale, isCorner, picture);
      change(products.map((one, at) => (at === index ? { ...one, box: next } : one)));
    };
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
  };
  return html`<div class="canvas"><div class="surface" ref=${frame} style=${{ "--ratio": picture.width / picture.height }}>
    <img src=${picture.url} alt="The picture to edit" draggable="false" />
    ${products.map((one, index) => {
      const box = boxOf(one, picture, index);
      const [left, width] = [box.x, box.width].map((pixels) => percent(pixels, picture.width));
      const [top, height] = [box.y, box.height].map((pixels) => percent(pixels, picture.height));
      return html`<span key=${one.id} class="product-box" aria-hidden="true" style=${{ left, top, width, height }} onPointerDown=${drag(index, false)}>
        <img src=${one.url} alt="" draggable="false" /><span>${index + 1}</span><i onPointerDown=${drag(index, true)}></i></span>`;
    })}
  </div></div>`;
}
