// What the server can do: the operations and their fields, read from /openapi.json and /capabilities.

/** The first pattern that fits a path names its group. */
const GROUPS = [
  ["Registered pictures", /\{visual_id\}/],
  ["Products", /product|packshot|lifestyle|shadow/],
  ["Generate", /text-to-image|generate|structured|prompt/],
  ["Background", /background|foreground|\/crop/],
  ["Objects", /eras|mask|gen_fill|object|blend|segment/],
  ["Size and quality", /resolution|enhance|expan|restore/],
  ["Look", /./],
];
const ORDER = ["Background", "Objects", "Size and quality", "Look", "Products", "Generate", "Registered pictures"];
/** Fields that the page sets itself, or that make no sense in a browser. */
const HIDDEN = /^(sync|sid|webhook_url|is_private|org_image_key|sku)$/;
const MAIN_PICTURES = ["file", "image", "scene", "person_image"];
/** What the page does by itself before a call of a registered picture, and what would only take the picture away again. */
const SKIPPED = /\/(register|upload|remove_image)$/;
const MASKS = ["mask_file", "mask"];

/** Return the operations, in groups of [title, operations]. */
export function readOperations(document, capabilities) {
  const states = new Map(capabilities.operations.map((state) => [`${state.method} ${state.path}`, state]));
  const found = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    const visual = path.includes("{visual_id}");
    const method = visual && methods.get ? "GET" : "POST";
    const described = methods[method.toLowerCase()];
    const form = described?.requestBody?.content["multipart/form-data"]?.schema;
    if ((!form && !visual) || SKIPPED.test(path)) continue;
    const fields = form ? resolve(document, form) : formOf(described.parameters);
    found.push(operation(path, { ...described, method, visual }, fields, document, states.get(`${method} ${path}`)));
  }
  return ORDER.map((title) => [title, found.filter((one) => one.group === title)]).filter(
    ([, operations]) => operations.length,
  );
}

/** Return the fields of a query as those of a form. */
function formOf(parameters) {
  const inQuery = parameters.filter((one) => one.in === "query");
  return { properties: Object.fromEntries(inQuery.map(({ name, schema, description }) => [name, { description, ...schema }])) };
}

function operation(path, described, form, document, state) {
  const required = new Set(form.required ?? []);
  const all = Object.entries(form.properties).map(([name, schema]) =>
    field(name, resolve(document, schema), required.has(name), document),
  );
  const inPath = (described.parameters ?? [])
    .filter((one) => one.in === "path" && one.name !== "visual_id")
    .map((one) => ({ ...field(one.name, resolve(document, one.schema), true, document), inPath: true }));
  const names = new Set(all.map((one) => one.name));
  const { visual } = described;
  const isList = required.has("images");
  const picture = visual ? "file" : (MAIN_PICTURES.find((name) => names.has(name)) ?? (isList ? "images" : null));
  const drawn = all.find((one) => one.takesDrawn);
  const mask = drawn ? `${drawn.name}[0][mask_url]` : (MASKS.find((name) => names.has(name)) ?? null);
  return {
    path,
    method: described.method,
    version: path.slice(1, 3),
    title: described.summary,
    visual,
    takesSid: names.has("sid"),
    group: GROUPS.find(([, pattern]) => pattern.test(path))[0],
    available: state?.available ?? true,
    reason: state?.reason ?? null,
    limits: (state?.limits ?? []).filter((text) => !text.includes("moderation")),
    isSlow: (state?.limits ?? []).some((text) => text.includes("sync=false")),
    seconds: state?.measured_seconds ?? state?.expected_seconds ?? null,
    sync: all.find((one) => one.name === "sync") ?? null,
    picture,
    pictureIsText: picture === "images",
    drawn: drawn?.name ?? null,
    pictureIsRequired: picture !== null && (picture === "file" || required.has(picture)),
    mask,
    maskIsRequired: mask !== null && (drawn !== undefined || (mask === "mask" ? required.has(mask) : /\/(eraser|gen_fill)$/.test(path))),
    takesWebp: /webp/i.test(form.properties[picture]?.description ?? "webp"),
    expands: names.has("canvas_size") && names.has("original_image_location"),
    fields: [...inPath, ...all.filter((one) => isShown(one, names, picture, mask)).map((one) => further(one, picture))],
  };
}

/** Return a field as the form shows it: of a list of pictures the stage has the first one. */
function further(one, picture) {
  if (one.takesDrawn)
    return { ...one, required: false, label: `${one.label}, as JSON`, description: "Instead of what you mark in the picture, such as masks of the mask generator." };
  if (one.name !== picture) return one;
  return { ...one, required: false, label: "Further images", most: one.most - 1 };
}

function isShown({ name, kind, description }, names, picture, mask) {
  if (HIDDEN.test(name) || (name === picture && kind !== "pictures") || name === mask) return false;
  if (/^Another name (of|for)/.test(description) || /^image_url$|^mask_url$/.test(name)) return false;
  if (name.endsWith("_file") && names.has(name.replace(/_file$/, "_urls"))) return false; // the list takes files too
  return !(name.endsWith("_url") && names.has(name.replace(/_url$/, "_file")));
}

function resolve(document, schema) {
  if (!schema.$ref) return schema;
  const target = schema.$ref.split("/").slice(1).reduce((at, key) => at[key], document);
  return { ...target, ...schema, $ref: undefined };
}

/** Return a field: its name, its kind, and what its schema allows. */
function field(name, schema, required, document) {
  const parts = (schema.anyOf ?? [schema]).filter((one) => one.type !== "null");
  const list = parts.find((one) => one.type === "array" && one.items);
  const item = list ? resolve(document, list.items) : {};
  const isPictures = list && (item.properties?.image !== undefined || /image(s|_urls?)$/.test(name));
  const main = isPictures ? list : (parts[0] ?? schema);
  const kind = isPictures ? "pictures" : kindOf(name, main, schema);
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
    most: isPictures ? list.maxItems : null,
    hasBoxes: item.properties?.coordinates !== undefined,
    isAddress: /_urls$/.test(name),
    takesDrawn: item.properties?.mask_url !== undefined,
  };
}

function kindOf(name, main, schema) {
  if (main.format === "binary") return "file";
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
