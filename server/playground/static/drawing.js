// A mask as a list of steps on a canvas: strokes, areas, uploads and inversions, which can be undone.
import getStroke from "./vendored/perfect-freehand/index.js";

const COLOUR = "#fff";
const MAX_SIDE = 2048;

/** The mask of one picture. Its canvas has the picture's shape; white is marked, the rest transparent. */
export class Drawing {
  constructor(width, height) {
    const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.steps = [];
  }

  /** Add a step and draw it; its kind is stroke, area, invert or clear. */
  add(step) {
    this.steps = [...this.steps, step];
    this.draw(step);
  }

  /** Draw a stroke that is not finished over what is there. */
  preview(step) {
    this.redraw();
    this.draw(step);
  }

  undo() {
    this.steps = this.steps.slice(0, -1);
    this.redraw();
  }

  redraw() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const step of this.steps) this.draw(step);
  }

  draw(step) {
    const { context, canvas } = this;
    context.save();
    context.fillStyle = COLOUR;
    if (step.kind === "stroke") {
      context.globalCompositeOperation = step.erases ? "destination-out" : "source-over";
      context.fill(outline(step, canvas));
    } else if (step.kind === "area") {
      context.globalCompositeOperation = step.erases ? "destination-out" : "source-over";
      context.drawImage(step.area, 0, 0, canvas.width, canvas.height);
    } else if (step.kind === "invert") {
      context.globalCompositeOperation = "xor";
      context.fillRect(0, 0, canvas.width, canvas.height);
    } else {
      context.clearRect(0, 0, canvas.width, canvas.height);
    }
    context.restore();
  }

  /** Return whether nothing is marked. */
  get isEmpty() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at] > 127) return false;
    return true;
  }

  /** Return the mask as a PNG: white is edited, black is kept. */
  async png() {
    const { width, height } = this.canvas;
    const flat = Object.assign(document.createElement("canvas"), { width, height });
    const context = flat.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.drawImage(this.canvas, 0, 0);
    return new Promise((done) => flat.toBlob(done, "image/png"));
  }
}

/** Return the outline of a stroke. points: of 0 to 1 in both directions; size: a share of the longer side. */
function outline({ points, size }, canvas) {
  const side = Math.max(canvas.width, canvas.height);
  const scaled = points.map(([x, y]) => [x * canvas.width, y * canvas.height]);
  const path = new Path2D();
  if (points.length === 1) {
    path.arc(...scaled[0], (size * side) / 2, 0, 2 * Math.PI);
    return path;
  }
  const options = { size: size * side, thinning: 0, smoothing: 0.5, streamline: 0.3, simulatePressure: false };
  getStroke(scaled, options).forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
  path.closePath();
  return path;
}

/** Return the marked part of an uploaded mask: white or, with alpha, what is not transparent. */
export async function areaOf(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = image;
  const hasAlpha = data.some((value, at) => at % 4 === 3 && value < 255);
  for (let at = 0; at < data.length; at += 4) {
    const marked = hasAlpha ? data[at + 3] > 127 : data[at] + data[at + 1] + data[at + 2] > 382;
    data.fill(255, at, at + 3);
    data[at + 3] = marked ? 255 : 0;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
