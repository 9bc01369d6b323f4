// Where a picture comes from: dropped, pasted, chosen, or one of the samples.
import { html, icon, useEffect, useRef, useState } from "./html.js";

const SAMPLES = [
  ["coffee", "A cup of coffee"],
  ["astronaut", "An astronaut"],
  ["chelsea", "A cat"],
];
const here = (name) => new URL(name, import.meta.url).href;

/** Return a picture of a file: its bytes, its size, and an address for the page. Rejects what is no picture. */
export async function readPicture(blob, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Error(`${name || "This file"} cannot be read as a picture. JPEG, PNG and WebP work.`);
  }
  const { width, height } = bitmap;
  bitmap.close();
  return { blob, name: safe(name), width, height, url: URL.createObjectURL(blob), id: crypto.getRandomValues(new Uint32Array(1))[0] };
}

/** Return the same picture as PNG. */
export async function asPng(picture) {
  const bitmap = await createImageBitmap(picture.blob);
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  return { ...picture, blob, name: picture.name.replace(/\.webp$/i, ".png") };
}

/** Return a file's name without what a command or a header cannot hold. */
const safe = (name) => (name || "picture.png").replace(/[^\w.-]+/g, "-").replace(/^-+/, "") || "picture.png";

async function readSample(name) {
  const response = await fetch(here(`samples/${name}.jpg`));
  return readPicture(await response.blob(), `${name}.jpg`);
}

/** Return whether an event belongs to the control of a list of pictures, which handles it. */
const isForList = (event) => event.target instanceof Element && event.target.closest("[data-takes-pictures]") !== null;

/** Take pictures that are dropped on the page or pasted into it. Returns whether one is held over the page. */
export function useDroppedPictures(take, fail) {
  const [isOver, setIsOver] = useState(false);
  useEffect(() => {
    const file = (list) => [...(list?.files ?? [])].find((one) => one.type.startsWith("image/")) ?? list?.files?.[0];
    const read = (one) => one && readPicture(one, one.name).then(take, fail);
    const over = (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      setIsOver(!isForList(event));
    };
    const leave = (event) => event.relatedTarget === null && setIsOver(false);
    const drop = (event) => {
      event.preventDefault();
      setIsOver(false);
      if (!isForList(event)) read(file(event.dataTransfer));
    };
    const paste = (event) => {
      const one = file(event.clipboardData);
      if (one && !isForList(event)) {
        event.preventDefault();
        read(one);
      }
    };
    const listeners = { dragover: over, dragleave: leave, drop, paste };
    for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) removeEventListener(name, listener);
    };
  }, [take, fail]);
  return isOver;
}

/** A button that opens the choice of files. */
export function ChooseButton({ take, fail, kind = "", label = "Choose a picture" }) {
  const input = useRef();
  const chosen = (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) readPicture(file, file.name).then(take, fail);
  };
  return html`<button type="button" class="button ${kind}" onClick=${() => input.current.click()}>
      ${icon("upload")}${label}
    </button>
    <input ref=${input} type="file" accept="image/jpeg,image/png,image/webp" hidden tabindex="-1"
      aria-label=${label} onChange=${chosen} />`;
}

/** What stands in the middle before there is a picture. */
export function EmptyStage({ take, fail }) {
  return html`<div class="empty">
    <div class="empty-card">
      <span class="empty-icon">${icon("image")}</span>
      <h2>Start with a picture</h2>
      <p>Drop one here, paste one, or choose a file. It goes to this server only.</p>
      <${ChooseButton} take=${take} fail=${fail} kind="primary" />
      <p class="or" id="samples-label">or try a sample</p>
      <div class="samples" role="group" aria-labelledby="samples-label">
        ${SAMPLES.map(
          ([name, label]) => html`<button type="button" class="sample" key=${name} title=${label}
            onClick=${() => readSample(name).then(take, fail)}>
            <img src=${here(`samples/${name}-small.webp`)} alt=${label} width="72" height="72" />
          </button>`,
        )}
      </div>
    </div>
  </div>`;
}
