// The call of an operation: where it goes and what it sends, for the server and for the code that shows it.

/** Return the box of a product in a scene: its own, or one a third as wide as the scene, beside those before it. */
export function boxOf(item, scene, index) {
  if (item.box || !scene) return item.box ?? null;
  const scale = Math.min(scene.width / 3 / item.width, (scene.height * 0.8) / item.height);
  const [width, height] = [item.width, item.height].map((side) => Math.max(1, Math.round(side * scale)));
  const [x, y] = [scene.width - width, scene.height - height].map((room) => Math.round((room * (3 + (index % 6))) / 8));
  return { x, y, width, height };
}

/** Return the parts of a list of pictures, which are sent as text. scene: the picture of the stage. */
function listParts(field, items, scene) {
  if (!field.hasBoxes) return items.map((one) => encoded(field.name, one, field.isAddress ? "data" : "base64"));
  return items.flatMap((one, index) => [
    encoded(`${field.name}[${index}][image]`, one, "base64"),
    ...Object.entries(boxOf(one, scene, index) ?? {}).map(([side, pixels]) => ({
      name: `${field.name}[${index}][coordinates][${side}]`,
      value: String(pixels),
    })),
  ]);
}

const file = (name, { blob, name: filename }) => ({ name, blob, filename });
/** encoding: base64, or data for a data: address. */
const encoded = (name, picture, encoding) => ({ ...file(name, picture), encoding });

function maskParts(operation, mask) {
  const drawn = { blob: mask, name: "mask.png" };
  if (!operation.drawn) return [file(operation.mask, drawn)];
  return [encoded(operation.mask, drawn, "data"), { name: `${operation.drawn}[0][mask_source]`, value: "manual" }];
}

/** Return the registered picture that a call starts from; null if it must be registered first. */
export const knownVisual = (operation, picture) => (operation.visual && operation.takesSid && picture?.visual) || null;

const isGiven = (value) => value !== undefined && value !== null && value !== "" && value.length !== 0;
const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/**
 * Return a call: its method, its path and its parts, in the order in which they are sent. register: the call
 * before it, whose answer has the visual_id of the path; absent if there is none.
 */
export function makeCall(operation, values, picture, mask) {
  let path = operation.path;
  const parts = [];
  if (operation.picture && picture && !operation.visual)
    parts.push(operation.pictureIsText ? encoded(operation.picture, picture, "base64") : file(operation.picture, picture));
  if (operation.mask && mask && !isGiven(values[operation.drawn])) parts.push(...maskParts(operation, mask));
  for (const one of operation.fields) {
    const value = values[one.name] ?? (one.inPath ? (one.initial ?? one.options?.[0]) : undefined);
    if (one.inPath) path = path.replace(`{${one.name}}`, encodeURIComponent(value));
    else if (!isGiven(value)) continue;
    else if (one.kind === "pictures") parts.push(...listParts(one, value, picture));
    else if (value instanceof Blob) parts.push(file(one.name, { blob: value, name: value.name }));
    else parts.push({ name: one.name, value: textOf(value) });
  }
  if (operation.sync && operation.sync.initial !== !operation.isSlow)
    parts.push({ name: "sync", value: String(!operation.isSlow) });
  const call = { method: operation.method, path: path.slice(1), parts };
  const visual = knownVisual(operation, picture);
  if (visual) {
    parts.push({ name: "sid", value: visual.sid });
    call.path = call.path.replace("{visual_id}", visual.id);
  } else if (operation.visual) call.register = { method: "POST", path: "v1/register", parts: [file("file", picture)] };
  return call;
}
