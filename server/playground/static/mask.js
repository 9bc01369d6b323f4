// The editor of a mask: brush and eraser, found objects to click on, undo, invert and upload.
import { linksOf, perform, readResult } from "./api.js";
import { areaOf } from "./drawing.js";
import { html, icon, useEffect, useRef, useState } from "./html.js";

const FINDER = "v2/image/segment/all_masks";
const MAX_OBJECTS = 40;
const KEY_STEP = 0.02;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** drawing: the mask, which outlives this editor. changed: gets what returns it as PNG, or null without a mark. */
export function MaskEditor({ picture, drawing, changed, token, canFind }) {
  const [tool, setTool] = useState("brush");
  const [size, setSize] = useState(0.06);
  const [count, setCount] = useState(drawing.steps.length);
  const [objects, setObjects] = useState(() => (picture.objects ? { phase: "found", list: picture.objects } : { phase: "none", list: [] }));
  const [hovered, setHovered] = useState(null);
  const tell = () => {
    setCount(drawing.steps.length);
    changed(drawing.isEmpty ? null : { png: () => drawing.png() });
  };
  const add = (step) => {
    drawing.add(step);
    tell();
  };
  const undo = () => {
    drawing.undo();
    tell();
  };
  const upload = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) add({ kind: "area", area: await areaOf(file) });
  };
  const find = async () => {
    setObjects({ phase: "finding", list: [] });
    try {
      picture.objects = await findObjects(picture, token);
      setObjects({ phase: "found", list: picture.objects });
      setTool("objects");
    } catch (error) {
      setObjects({ phase: "failed", list: [], why: error.message });
    }
  };
  const mark = (object) => add({ kind: "area", area: object.area, erases: tool === "eraser" });
  const toggle = (name, label, sign) => html`<button type="button" class="button" aria-pressed=${tool === name} onClick=${() => setTool(name)}>${icon(sign)}<span class="tool-label">${label}</span></button>`;
  return html`<section class="mask-editor" aria-label="Mask">
    <div class="toolbar" role="toolbar" aria-label="Tools of the mask">
      ${toggle("brush", "Brush", "brush")}${toggle("eraser", "Eraser", "eraser")}
      ${objects.phase === "found" ? toggle("objects", "Objects", "wand") : canFind && html`<button type="button" class="button" disabled=${objects.phase === "finding"} onClick=${find}>${objects.phase === "finding" ? html`<span class="spinner"></span>` : icon("wand")}Find objects</button>`}
      <label class="size"><span>Size</span><input type="range" min="0.005" max="0.25" step="0.005" value=${size} onInput=${(event) => setSize(Number(event.target.value))} /></label>
      <span class="spring"></span>
      <${Tool} label="Undo" sign="undo" disabled=${count === 0} act=${undo} />
      <${Tool} label="Invert the mask" sign="invert" act=${() => add({ kind: "invert" })} />
      <${Tool} label="Clear the mask" sign="trash" disabled=${count === 0} act=${() => add({ kind: "clear" })} />
      <${Upload} upload=${upload} />
      <${Tool} label="Save the mask" sign="download" disabled=${count === 0} act=${() => save(drawing)} />
    </div>
    ${objects.phase === "failed" && html`<p class="refusal" role="alert">${icon("alert")}${objects.why}</p>`}
    <${Surface} picture=${picture} drawing=${drawing} tool=${tool} size=${size} add=${add} tell=${tell} count=${count}
      objects=${objects.list} hovered=${hovered} hover=${setHovered} mark=${mark} />
    ${objects.phase === "found" && html`<div class="chips" role="group" aria-label="Objects that were found">
      ${objects.list.map((one, place) => html`<button type="button" key=${place} class="chip-button" onMouseEnter=${() => setHovered(one)} onMouseLeave=${() => setHovered(null)}
        onFocus=${() => setHovered(one)} onBlur=${() => setHovered(null)} onClick=${() => mark(one)}>Object ${place + 1}</button>`)}
      ${objects.list.length === 0 && html`<span class="muted">No objects were found.</span>`}
    </div>`}
  </section>`;
}

/** Save the mask as the file that the code of the call names. */
async function save(drawing) {
  const url = URL.createObjectURL(await drawing.png());
  Object.assign(document.createElement("a"), { href: url, download: "mask.png" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const Tool = ({ label, sign, disabled, act }) => html`<button type="button" class="button square" aria-label=${label} title=${label} disabled=${disabled} onClick=${act}>${icon(sign)}</button>`;

function Upload({ upload }) {
  const input = useRef();
  return html`<${Tool} label="Upload a mask" sign="upload" act=${() => input.current.click()} />
    <input ref=${input} type="file" accept="image/png,image/jpeg,image/webp" hidden tabindex="-1" aria-label="Upload a mask" onChange=${upload} />`;
}

/** The picture with its mask, on which pointers and keys draw. */
function Surface({ picture, drawing, tool, size, add, count, objects, hovered, hover, mark }) {
  const shown = useRef();
  const stroke = useRef(null);
  const [cursor, setCursor] = useState(null);
  const repaint = () => paint(shown.current, drawing, tool === "objects" || hovered ? hovered : null);
  useEffect(repaint, [drawing, count, hovered, tool]);
  const place = (event) => {
    const box = shown.current.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const step = (points) => ({ kind: "stroke", points, size, erases: tool === "eraser" });
  const down = (event) => {
    if (event.button !== 0) return;
    const point = place(event);
    if (tool === "objects") {
      const object = smallestAt(objects, point);
      if (object) mark(object);
      return;
    }
    shown.current.setPointerCapture(event.pointerId);
    stroke.current = [point];
    draw();
  };
  const draw = () => {
    drawing.preview(step(stroke.current));
    repaint();
  };
  const move = (event) => {
    const point = place(event);
    setCursor(tool === "objects" || event.pointerType === "touch" ? null : point);
    if (tool === "objects") hover(smallestAt(objects, point));
    if (!stroke.current) return;
    stroke.current.push(...(event.getCoalescedEvents?.().map(place) ?? []), point);
    draw();
  };
  const up = () => {
    if (!stroke.current) return;
    const points = stroke.current;
    stroke.current = null;
    drawing.redraw();
    add(step(points));
  };
  const press = (event) => {
    const at = cursor ?? [0.5, 0.5];
    if (ARROWS[event.key]) {
      const far = event.shiftKey ? 4 : 1;
      const next = at.map((one, axis) => Math.min(1, Math.max(0, one + ARROWS[event.key][axis] * KEY_STEP * far)));
      setCursor(next);
      if (tool === "objects") hover(smallestAt(objects, next));
    } else if (event.key === " " || (event.key === "Enter" && !event.ctrlKey && !event.metaKey)) {
      const object = tool === "objects" ? smallestAt(objects, at) : null;
      if (object) mark(object);
      else if (tool !== "objects") add(step([at]));
    } else return;
    event.preventDefault();
  };
  const ratio = picture.width / picture.height;
  const diameter = size * Math.max(1, 1 / ratio) * 100;
  return html`<div class="canvas"><div class="surface" style=${{ "--ratio": ratio }}>
    <img src=${picture.url} alt="The picture to edit" draggable="false" />
    <canvas ref=${shown} width=${drawing.canvas.width} height=${drawing.canvas.height} tabindex="0" role="application"
      aria-label="Mask. Arrow keys move the brush, the space bar paints." class="mask ${tool}"
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up}
      onPointerLeave=${() => { setCursor(null); hover(null); }} onKeyDown=${press} onFocus=${() => setCursor(cursor ?? [0.5, 0.5])} onBlur=${() => setCursor(null)}></canvas>
    ${cursor && html`<span class="cursor" style=${{ left: `${cursor[0] * 100}%`, top: `${cursor[1] * 100}%`, width: `${tool === "objects" ? 2 : diameter}%` }}></span>`}
  </div></div>`;
}

function paint(canvas, drawing, object) {
  const context = canvas.getContext("2d");
  const colour = getComputedStyle(canvas).getPropertyValue("--mask").trim();
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(drawing.canvas, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
  if (object) {
    context.globalAlpha = 0.9;
    context.drawImage(object.area, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }
}

/** Return the objects of a picture, the smallest first: their area, and which points are in it. */
async function findObjects(picture, token) {
  const parts = [{ name: "image", blob: picture.blob, filename: picture.name }, { name: "sync", value: "true" }];
  const { answer } = await perform({ method: "POST", path: FINDER, parts }, token, undefined);
  const links = linksOf(answer).slice(0, MAX_OBJECTS);
  const masks = await Promise.all(links.map(async (link) => areaOf((await readResult(link)).blob)));
  return masks.map(objectOf).sort((one, other) => one.pixels - other.pixels);
}

function objectOf(area) {
  const { width, height } = area;
  const { data } = area.getContext("2d").getImageData(0, 0, width, height);
  const inside = (x, y) => data[(y * width + x) * 4 + 3] > 0;
  let pixels = 0;
  for (let at = 3; at < data.length; at += 4) pixels += data[at] > 0;
  const has = ([x, y]) => inside(Math.min(width - 1, Math.floor(x * width)), Math.min(height - 1, Math.floor(y * height)));
  return { area, pixels, has };
}

const smallestAt = (objects, point) => (point.every((one) => one >= 0 && one < 1) ? (objects.find((one) => one.has(point)) ?? null) : null);
