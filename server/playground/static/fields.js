// The form of an operation: one control for each field of its schema, with its refusal beside it.
import { html, icon, useEffect, useRef } from "./html.js";
import { Pictures } from "./pictures.js";

/** Show the fields; the first ones stand open, what is seldom needed below them. scene: the picture of the stage. */
export function Fields({ operation, values, change, refusal, scene }) {
  const isSeldom = ({ name, required }) =>
    !required && /moderation|ip_signal|preserve_alpha|^seed$|negative_prompt|^mask_type|guidance|steps|quality/.test(name);
  const weight = ({ name, required, kind }) => (required ? 0 : /prompt$|instruction|scene_description|^background_color/.test(name) ? 1 : kind === "flag" ? 3 : 2);
  const often = operation.fields.filter((one) => !isSeldom(one)).sort((one, other) => weight(one) - weight(other));
  const seldom = operation.fields.filter(isSeldom);
  const show = (one) => html`<${Field} key=${operation.path + one.name} field=${one} value=${values[one.name]} scene=${scene}
    change=${(value) => change(one.name, value)} refusal=${refusal?.field === one.name ? refusal : null} />`;
  useEffect(() => {
    const control = refusal && document.getElementById(`field-${refusal.field}`);
    control?.scrollIntoView({ block: "center" });
    control?.focus({ preventScroll: true });
  }, [refusal]);
  return html`<div class="fields">
    ${often.map(show)}
    ${seldom.length > 0 &&
    html`<details class="more" open=${seldom.some((one) => one.name === refusal?.field) || undefined}>
      <summary>More settings</summary>
      <div class="fields">${seldom.map(show)}</div>
    </details>`}
  </div>`;
}

const CONTROLS = { choice: Choice, flag: Flag, number: NumberControl, numbers: Numbers, colour: Colour, text: Text, line: Line, file: FileControl, json: Text, pictures: Pictures };

function Field({ field, value, change, refusal, scene }) {
  const Control = CONTROLS[field.kind];
  const id = `field-${field.name}`;
  const described = [refusal && `${id}-refusal`, field.description && `${id}-help`].filter(Boolean).join(" ");
  const isGroup = field.kind === "numbers" || field.kind === "pictures";
  const label = html`${field.label}${field.required && html`<span class="required" aria-hidden="true"> required</span>`}`;
  return html`<div class="field ${refusal ? "refused" : ""} ${field.kind}">
    ${isGroup ? html`<span class="label" id="${id}-label">${label}</span>` : html`<label class="label" for=${id}>${label}</label>`}
    <${Control} field=${field} value=${value} change=${change} scene=${scene} id=${id} described=${described || undefined} invalid=${refusal ? "true" : undefined} />
    ${refusal && html`<p class="refusal" id="${id}-refusal">${icon("alert")}${refusal.message}</p>`}
    ${field.description && html`<p class="help" id="${id}-help">${field.description}</p>`}
  </div>`;
}

const attributes = ({ field, id, described, invalid }) => ({
  id,
  "aria-describedby": described,
  "aria-invalid": invalid,
  "aria-required": field.required ? "true" : undefined,
});
const placeholder = ({ initial, example }) => {
  if (initial !== null && initial !== "") return String(initial);
  return example === null ? "" : `such as ${typeof example === "string" ? example : JSON.stringify(example)}`;
};

function Choice(props) {
  const { field, value, change } = props;
  const names = field.options;
  const pick = (event) => {
    const text = event.target.value;
    change(text === "" ? undefined : (names.find((one) => String(one) === text) ?? text));
  };
  const first = field.initial === null ? "Not set" : `${field.initial} (default)`;
  return html`<select class="input" ...${attributes(props)} value=${value ?? ""} onChange=${pick}>
    ${!field.inPath && html`<option value="">${first}</option>`}
    ${names.filter((one) => field.inPath || one !== field.initial).map((one) => html`<option key=${one} value=${String(one)}>${String(one).replace(/_/g, " ")}</option>`)}
  </select>`;
}

function Flag(props) {
  const { field, value, change } = props;
  const isOn = value ?? field.initial ?? false;
  const toggle = (event) => {
    const now = event.target.checked;
    change(now === (field.initial ?? null) ? undefined : now);
  };
  return html`<input type="checkbox" class="switch" role="switch" ...${attributes(props)} checked=${isOn} onChange=${toggle} />`;
}

function NumberControl(props) {
  const { field, value, change } = props;
  const isShort = field.minimum !== null && field.maximum !== null && field.maximum - field.minimum <= 10000;
  const limits = isShort ? { min: field.minimum, max: field.maximum } : {};
  const type = (event) => change(event.target.value === "" ? undefined : Number(event.target.value));
  const number = html`<input type="number" class="input" inputmode="numeric" step="any" ...${attributes(props)} ...${limits}
    value=${value ?? ""} placeholder=${placeholder(field)} onInput=${type} />`;
  if (!isShort) return number;
  const step = Number.isInteger(field.minimum) && field.maximum - field.minimum > 2 ? 1 : 0.05;
  return html`<span class="range">
    <input type="range" ...${limits} step=${step} aria-label="${field.label}, slider" value=${value ?? field.initial ?? field.minimum} onInput=${type} />
    ${number}
  </span>`;
}

function Numbers(props) {
  const { field, value, change } = props;
  const names = { 2: /size/.test(field.name) ? ["Width", "Height"] : ["X", "Y"], 4: ["Left", "Right", "Top", "Bottom"] };
  const set = (place) => (event) => {
    const now = field.items.map((_, index) => value?.[index] ?? field.initial?.[index] ?? null);
    now[place] = event.target.value === "" ? null : Number(event.target.value);
    change(now.some((one) => one !== null) ? now.map((one) => one ?? 0) : undefined);
  };
  return html`<span class="boxes" role="group" aria-labelledby="${props.id}-label" aria-describedby=${props.described}>
    ${field.items.map((_, place) => {
      const name = names[field.items.length]?.[place] ?? `${place + 1}`;
      return html`<label key=${place}><span>${name}</span>
        <input type="number" class="input" inputmode="numeric" value=${value?.[place] ?? ""} aria-invalid=${props.invalid}
          placeholder=${field.initial?.[place] ?? ""} onInput=${set(place)} /></label>`;
    })}
  </span>`;
}

function Colour(props) {
  const { field, value, change } = props;
  const shown = [value, field.initial, field.example].find((one) => /^#[0-9a-f]{6}$/i.test(one ?? ""));
  return html`<span class="colour-row">
    <input type="color" class="well" aria-label="${field.label}, colour well" value=${shown ?? "#ffffff"} onInput=${(event) => change(event.target.value)} />
    <input type="text" class="input" ...${attributes(props)} value=${value ?? ""} placeholder=${placeholder(field)} maxlength=${field.maxLength}
      onInput=${(event) => change(event.target.value || undefined)} />
  </span>`;
}

function Text(props) {
  return html`<textarea class="input" rows="3" ...${attributes(props)} maxlength=${props.field.maxLength} value=${props.value ?? ""}
    placeholder=${placeholder(props.field)} onInput=${(event) => props.change(event.target.value || undefined)}></textarea>`;
}

function Line(props) {
  return html`<input type="text" class="input" ...${attributes(props)} maxlength=${props.field.maxLength} value=${props.value ?? ""}
    placeholder=${placeholder(props.field)} onInput=${(event) => props.change(event.target.value || undefined)} />`;
}

function FileControl(props) {
  const input = useRef();
  const clear = () => {
    input.current.value = "";
    props.change(undefined);
  };
  return html`<span class="file-row">
    <input ref=${input} type="file" class="input" accept="image/jpeg,image/png,image/webp" ...${attributes(props)}
      onChange=${(event) => props.change(event.target.files[0])} />
    ${props.value && html`<button type="button" class="button quiet" onClick=${clear}>Remove</button>`}
  </span>`;
}
