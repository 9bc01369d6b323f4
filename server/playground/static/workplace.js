// The page once the server is known: operations at the left, the picture in the middle, settings at the right.
import { knownVisual, makeCall } from "./calls.js";
import { Drawing } from "./drawing.js";
import { ExpandEditor } from "./expand.js";
import { Fields } from "./fields.js";
import { History } from "./history.js";
import { html, icon, useCallback, useEffect, useMemo, useRef, useState } from "./html.js";
import { MaskEditor } from "./mask.js";
import { OperationList } from "./nav.js";
import { Scene } from "./pictures.js";
import { asPng, ChooseButton, EmptyStage, useDroppedPictures } from "./picker.js";
import { ResultView } from "./result.js";
import { Notice, RunBar } from "./run.js";
import { useRunner } from "./runner.js";
import { Snippets } from "./snippets.js";

const FIRST = "/v1/background/remove";
const FINDER_PATH = "/v2/image/segment/all_masks";
/** What the code names before a picture is chosen. */
const STAND_IN = { name: "in.jpg", blob: new Blob(), mask: new Blob([], { type: "image/png" }) };

export function Workplace({ groups, token, askToken }) {
  const operations = useMemo(() => groups.flatMap(([, list]) => list), [groups]);
  const [path, setPath] = useState(FIRST);
  const [isListOpen, setListOpen] = useState(false);
  const [picture, setPicture] = useState(null);
  const [problem, setProblem] = useState(null);
  const [mask, setMask] = useState(null);
  const drawing = useMemo(() => picture && new Drawing(picture.width, picture.height), [picture]);
  const [valuesOf, setValuesOf] = useState({});
  const operation = operations.find((one) => one.path === path) ?? operations[0];
  const values = valuesOf[operation.path] ?? {};
  const runner = useRunner(token);
  const take = useCallback((taken) => {
    setPicture(taken);
    setMask(null);
    setProblem(null);
    runner.show(null);
  }, []);
  const fail = useCallback((error) => setProblem(error.message), []);
  const isOver = useDroppedPictures(take, fail);
  const changeAll = (changed) => {
    setValuesOf((all) => ({ ...all, [operation.path]: { ...all[operation.path], ...changed } }));
    runner.forget();
  };
  const change = (name, value) => changeAll({ [name]: value });
  const choose = (chosen) => {
    setPath(chosen);
    runner.show(null);
    setListOpen(false);
    runner.forget();
  };
  const setVersion = (version) => {
    const list = operations.filter((one) => one.version === version);
    choose((list.find((one) => one.title === operation.title) ?? list[0]).path);
  };
  const why = whatIsMissing(operation, picture, mask, values);
  const start = async () => {
    const sent = await prepared(operation, picture);
    runner.start(operation, makeCall(operation, values, sent, operation.mask && mask ? await mask.png() : null), picture);
  };
  // The code shows the names of the files; their bytes are made when the call is sent.
  const sketch = makeCall(operation, values, picture ?? STAND_IN, operation.mask && mask ? STAND_IN.mask : null);
  const canFind = operations.some((one) => one.path === FINDER_PATH && one.available);
  useShortcut(() => why === null && runner.run.phase !== "running" && start());
  const { refusal, retryAt } = runner.run;
  const isAtField = refusal && operation.fields.some((one) => one.name === refusal.field);
  return html`<div class="workplace">
    <nav class="nav ${isListOpen ? "open" : ""}" aria-label="Operations">
      <button type="button" class="button nav-toggle" aria-expanded=${isListOpen} onClick=${() => setListOpen(!isListOpen)}>
        <span class="muted">Operation</span><strong>${operation.title}</strong></button>
      <${OperationList} groups=${groups} version=${operation.version} path=${operation.path} choose=${choose} setVersion=${setVersion} />
    </nav>
    <main class="stage">
      ${problem && html`<div class="notice" role="alert">${icon("alert")}<div><strong>Not a picture</strong><p>${problem}</p></div></div>`}
      <${Stage} operation=${operation} picture=${picture} runner=${runner} take=${take} fail=${fail} token=${token} canFind=${canFind}
        values=${values} changeAll=${changeAll} drawing=${drawing} setMask=${setMask} />
      <${History} entries=${runner.entries} shown=${runner.shown?.entry} show=${runner.show} />
    </main>
    <aside class="panel" aria-label="Settings of the operation">
      <div class="panel-body">
        <h1>${operation.title}</h1>
        <p class="route"><code>${operation.method} ${operation.path}</code></p>
        ${operation.visual && operation.available && html`<p class="limits">${knownVisual(operation, picture) ? "The picture is a result of a registered one: the call starts from it, by its sid." : "Works on a registered picture. The page registers yours first, then makes this call."}</p>`}
        ${!operation.available && html`<div class="notice calm">${icon("lock")}<div><strong>Not on this server</strong><p>${operation.reason}</p></div></div>`}
        ${operation.available && operation.limits.length > 0 && html`<ul class="limits">${operation.limits.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`}
        <${Fields} operation=${operation} values=${values} change=${change} refusal=${isAtField ? refusal : null} scene=${picture} />
        <${Snippets} call=${sketch} hasToken=${token !== ""} />
      </div>
      <${RunBar} run=${runner.run} why=${why} operation=${operation} start=${start} cancel=${runner.cancel}
        notice=${refusal && !isAtField && html`<${Notice} refusal=${refusal} retryAt=${retryAt} askToken=${() => askToken(refusal.message)} />`} />
    </aside>
    ${isOver && html`<div class="drop" aria-hidden="true"><span>${icon("upload")}Drop the picture</span></div>`}
  </div>`;
}

/** Return what a call still needs, in words; null if nothing. */
function whatIsMissing(operation, picture, mask, values) {
  if (!operation.available) return "This server's profile has no model for it.";
  if (operation.pictureIsRequired && !picture) return "Choose a picture first.";
  if (operation.maskIsRequired && !mask && !values[operation.drawn]) return "Mark something in the picture first.";
  const missing = operation.fields.find((one) => one.required && !one.inPath && !values[one.name] && values[one.name] !== 0);
  if (missing?.kind === "pictures") return `Add a picture to ${missing.label}.`;
  return missing ? `${missing.label} is required.` : null;
}

function useShortcut(run) {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => {
    const pressed = (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      latest.current();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

/** Return the picture in a format that the operation takes: some routes take no WebP. */
async function prepared(operation, picture) {
  if (!picture || operation.takesWebp || picture.blob.type !== "image/webp") return picture;
  return asPng(picture);
}

function Stage({ operation, picture, runner, take, fail, token, canFind, values, changeAll, drawing, setMask }) {
  const { shown } = runner;
  if (shown)
    return html`<div class="toolbar">
        <button type="button" class="button" onClick=${() => runner.show(null)}>${icon("back")}Back to the picture</button>
        <span class="spring"></span><span class="muted">${shown.entry.title}</span>
      </div>
      <${ResultView} key=${shown.entry.id} entry=${shown.entry} index=${shown.index} take=${take} fail=${fail}
        choose=${(index) => runner.show({ ...shown, index })} />`;
  if (!operation.picture) return html`<div class="waiting"><p>This operation takes no picture: only the settings.</p></div>`;
  if (!picture) return html`<${EmptyStage} take=${take} fail=${fail} />`;
  return html`<div class="toolbar">
      <${ChooseButton} take=${take} fail=${fail} label="Another picture" />
      <span class="spring"></span><span class="muted">${picture.width} × ${picture.height}</span>
    </div>
    <${Editor} operation=${operation} picture=${picture} token=${token} canFind=${canFind} values=${values} changeAll=${changeAll} drawing=${drawing} setMask=${setMask} />`;
}

function Editor({ operation, picture, token, canFind, values, changeAll, drawing, setMask }) {
  if (operation.mask) return html`<${MaskEditor} key=${picture.id} picture=${picture} drawing=${drawing} changed=${setMask} token=${token} canFind=${canFind} />`;
  const products = operation.fields.find((one) => one.hasBoxes);
  if (products) return html`<${Scene} picture=${picture} products=${values[products.name] ?? []} change=${(items) => changeAll({ [products.name]: items })} />`;
  if (operation.expands) return html`<${ExpandEditor} picture=${picture} values=${values} change=${changeAll} />`;
  return html`<div class="canvas"><img class="plain checked" src=${picture.url} alt="The picture to edit" /></div>`;
}
