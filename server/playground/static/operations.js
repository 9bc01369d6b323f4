// What the server can do: the operations and their fields, read from /openapi.json and /capabilities.

/** The first pattern that fits a path names its group. */
const GROUPS = [
  ["Products", /product|packshot|lifestyle|shadow/],
  ["Generate", /text-to-image|generate|structured|prompt/],
  ["Background", /background|foreground|\/crop/],
  ["Objects", /eras|mask|gen_fill|object|blend|segment/],
  ["Size and quality", /resolution|enhance|expan|restore/],
  ["Look", /./],
];
const ORDER = ["Background", "Objects", "Size and quality", "Look", "Products", "Generate"];
/** Fields that the page sets itself, or that make no sense in a browser. */
const HIDDEN = /^(sync|webhook_url|is_private|org_image_key|sku)$/;
const MAIN_PICTURES = ["file", "image", "scene", "person_image", "images"];
const MASKS = ["mask_file", "mask"];

/** Return the operations, in groups of [title, operations]. */
export function readOperations(document, capabilities) {
  const states = new Map(capabilities.operations.map((state) => [`${state.method} ${state.path}`, state]));
  const found = [];
  for (const [path, { post }] of Object.entries(document.paths)) {
    const form = post?.requestBody?.content["multipart/form-data"]?.schema;
    if (!form || path.includes("{visual_id}") || /\/(register|upload)$/.test(path)) continue;
    found.push(operation(path, post, resolve(document, form), document, states.get(`POST ${path}`)));
  }
  return ORDER.map((title) => [title, found.filter((one) => one.group === title)]).filter(
    ([, operations]) => operations.length,
  );
}

function operation(path, post, form, document, state) {
  const required = new Set(form.required ?? []);
  const all = Object.entries(form.properties).map(([name, schema]) =>
    field(name, resolve(document, schema), required.has(name)),
  );
  const inPath = (post.parameters ?? [])
    .filter((one) => one.in === "path")
    .map((one) => ({ ...field(one.name, resolve(document, one.schema), true), inPath: true }));
  const names = new Set(all.map((one) => one.name));
  const picture = MAIN_PICTURES.find((name) => names.has(name)) ?? null;
  const mask = MASKS.find((name) => names.has(name)) ?? null;
  return {
    path,
    version: path.slice(1, 3),
    title: post.summary,
    group: GROUPS.find(([, pattern]) => pattern.test(path))[0],
    available: state?.available ?? true,
    reason: state?.reason ?? null,
    limits: (state?.limits ?? []).filter((text) => !text.includes("moderation")),
    isSlow: (state?.limits ?? []).some((text) => text.includes("sync=false")),
    seconds: state?.measured_seconds ?? state?.expected_seconds ?? null,
    sync: all.find((one) => one.name === "sync") ?? null,
    picture,
    pictureIsText: picture === "images",
    pictureIsRequired: picture !== null && (picture === "file" || required.has(picture)),
    mask,
    maskIsRequired: mask !== null && (mask === "mask" ? required.has(mask) : /\/(eraser|gen_fill)$/.test(path)),
    takesWebp: /webp/i.test(form.properties[picture]?.description ?? "webp"),
    expands: names.has("canvas_size") && names.has("original_image_location"),
    fields: [...inPath, ...all.filter((one) => isShown(one, names, picture, mask))],
  };
}

function isShown({ name, kind, description }, names, picture, mask) {
  if (HIDDEN.test(name) || name === picture || name === mask || kind === "unknown") return false;
  if (/^Another name of/.test(description) || /^image_url$|^mask_url$/.test(name)) return false;
  return !(name.endsWith("_url") && names.has(name.replace(/_url$/, "_file")));
}

function resolve(document, schema) {
  if (!schema.$ref) return schema;
  const target = schema.$ref.split("/").slice(1).reduce((at, key) => at[key], document);
  return { ...target, ...schema, $ref: undefined };
}

/** Return a field: its name, its kind, and what its schema allows. */
function field(name, schema, required) {
  const parts = (schema.anyOf ?? [schema]).filter((one) => one.type !== "null");
  const main = parts[0] ?? schema;
  const kind = kindOf(name, main, schema);
  return {
    name,
    kind,
    required,
    label: words(name),
    description: schema.description ?? "",
    initial: schema.default ?? null,
    example: schema.examples?.[0] ?? null,
    options: main.enum ?? null,
    takesOther: parts.length > 1 && main.enum !== undefined,
    minimum: main.minimum ?? null,
    maximum: main.maximum ?? null,
    maxLength: main.maxLength ?? null,
    items: main.prefixItems ?? null,
  };
}

function kindOf(name, main, schema) {
  if (main.format === "binary") return "file";
  if (/image(s|_urls)$|^products$/.test(name) && main.type !== "boolean") return "unknown";
  if (main.enum) return "choice";
  if (main.type === "boolean") return "flag";
  if (main.type === "integer" || main.type === "number") return "number";
  if (main.type === "array" && main.prefixItems) return "numbers";
  if (main.type !== "string") return "json";
  const text = `${name} ${schema.description ?? ""}`;
  if (/colou?r(?!ize)/i.test(text)) return "colour";
  return (main.maxLength ?? 0) > 1000 ? "text" : "line";
}

function words(name) {
  const text = name.replace(/_/g, " ").replace(/\bbg\b/, "background").replace(/\bref\b/, "reference");
  return text[0].toUpperCase() + text.slice(1).replace(/\brmbg\b/, "background removal");
}

/** Return the call of an operation: its path and its parts, in the order in which they are sent. */
export function makeCall(operation, values, picture, mask) {
  let path = operation.path;
  const parts = [];
  if (operation.picture && picture)
    parts.push(
      operation.pictureIsText
        ? { name: operation.picture, value: picture.base64, from: picture.name }
        : { name: operation.picture, blob: picture.blob, filename: picture.name },
    );
  if (operation.mask && mask) parts.push({ name: operation.mask, blob: mask, filename: "mask.png" });
  for (const one of operation.fields) {
    const value = values[one.name] ?? (one.inPath ? (one.initial ?? one.options?.[0]) : undefined);
    if (one.inPath) path = path.replace(`{${one.name}}`, encodeURIComponent(value));
    else if (value instanceof Blob) parts.push({ name: one.name, blob: value, filename: value.name });
    else if (value !== undefined && value !== null && value !== "") parts.push({ name: one.name, value: textOf(value) });
  }
  if (operation.sync && operation.sync.initial !== !operation.isSlow)
    parts.push({ name: "sync", value: String(!operation.isSlow) });
  return { path: path.slice(1), parts };
}

const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));
