// The page: what it knows, and how its parts stand together.
import { getJson, linksOf, perform, readResult, Refusal, storedToken, storeToken } from "./api.js";
import { Fields } from "./fields.js";
import { Header } from "./header.js";
import { html, icon, render, useCallback, useEffect, useMemo, useRef, useState } from "./html.js";
import { OperationList } from "./nav.js";
import { makeCall, readOperations } from "./operations.js";
import { ChooseButton, EmptyStage, useDroppedPictures } from "./picker.js";
import { ResultView } from "./result.js";
import { Notice, RunBar } from "./run.js";
import { TokenDialog } from "./token.js";

const FIRST = "/v1/background/remove";

/** Return what the server can do, once it is known: {phase: loading, ready, token or error; ...}. */
function useServer(token, attempt) {
  const [server, setServer] = useState({ phase: "loading" });
  useEffect(() => {
    setServer((before) => (before.phase === "ready" ? before : { phase: "loading" }));
    Promise.all([getJson("openapi.json"), getJson("capabilities", token)]).then(
      ([document, capabilities]) =>
        setServer({ phase: "ready", groups: readOperations(document, capabilities), profile: capabilities.profile }),
      (refusal) => setServer({ phase: [401, 403].includes(refusal.status) ? "token" : "error", refusal }),
    );
  }, [token, attempt]);
  return server;
}

function App() {
  const [token, setToken] = useState(storedToken);
  const [attempt, setAttempt] = useState(0);
  const server = useServer(token, attempt);
  const [asked, setAsked] = useState(null);
  useEffect(() => {
    if (server.phase === "token") setAsked({ why: server.refusal.message });
  }, [server]);
  const save = (text) => {
    storeToken(text);
    setToken(text);
    setAttempt((count) => count + 1);
    setAsked(null);
  };
  const askToken = (why) => setAsked({ why: typeof why === "string" ? why : null });
  return html`<${Header} profile=${server.profile} hasToken=${token !== ""} askToken=${askToken} />
    ${server.phase === "ready"
      ? html`<${Workplace} groups=${server.groups} token=${token} askToken=${askToken} />`
      : html`<${Waiting} server=${server} askToken=${askToken} again=${() => setAttempt((count) => count + 1)} />`}
    ${asked && html`<${TokenDialog} why=${asked.why} token=${token} save=${save} close=${() => setAsked(null)} />`}`;
}

function Waiting({ server, askToken, again }) {
  if (server.phase === "loading")
    return html`<main class="waiting" aria-busy="true"><span class="spinner" aria-hidden="true"></span><p role="status">Asking the server what it can do…</p></main>`;
  const needsToken = server.phase === "token";
  return html`<main class="waiting">
    <span class="empty-icon">${icon(needsToken ? "key" : "alert")}</span>
    <h2>${needsToken ? "This server needs a token" : "The server cannot be used at the moment"}</h2>
    <p>${server.refusal.message}</p>
    <button type="button" class="button primary" onClick=${needsToken ? askToken : again}>${needsToken ? "Enter a token" : "Try again"}</button>
  </main>`;
}

function Workplace({ groups, token, askToken }) {
  const operations = useMemo(() => groups.flatMap(([, list]) => list), [groups]);
  const [path, setPath] = useState(FIRST);
  const [isListOpen, setListOpen] = useState(false);
  const [picture, setPicture] = useState(null);
  const [problem, setProblem] = useState(null);
  const [valuesOf, setValuesOf] = useState({});
  const operation = operations.find((one) => one.path === path) ?? operations[0];
  const values = valuesOf[operation.path] ?? {};
  const runner = useRunner(token);
  const take = useCallback((taken) => {
    setPicture(taken);
    setProblem(null);
    runner.show(null);
  }, []);
  const fail = useCallback((error) => setProblem(error.message), []);
  const isOver = useDroppedPictures(take, fail);
  const change = (name, value) => {
    setValuesOf((all) => ({ ...all, [operation.path]: { ...all[operation.path], [name]: value } }));
    runner.forget();
  };
  const choose = (chosen) => {
    setPath(chosen);
    setListOpen(false);
    runner.forget();
  };
  const setVersion = (version) => {
    const list = operations.filter((one) => one.version === version);
    choose((list.find((one) => one.title === operation.title) ?? list[0]).path);
  };
  const why = whatIsMissing(operation, picture, values);
  const start = () => runner.start(operation, makeCall(operation, values, picture, null), picture);
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
      <${Stage} picture=${picture} runner=${runner} take=${take} fail=${fail} />
    </main>
    <aside class="panel" aria-label="Settings of the operation">
      <div class="panel-body">
        <h1>${operation.title}</h1>
        <p class="route"><code>POST ${operation.path}</code></p>
        ${!operation.available && html`<div class="notice calm">${icon("lock")}<div><strong>Not on this server</strong><p>${operation.reason}</p></div></div>`}
        ${operation.available && operation.limits.length > 0 && html`<ul class="limits">${operation.limits.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`}
        <${Fields} operation=${operation} values=${values} change=${change} refusal=${isAtField ? refusal : null} />
        ${refusal && !isAtField && html`<${Notice} refusal=${refusal} retryAt=${retryAt} askToken=${() => askToken(refusal.message)} />`}
      </div>
      <${RunBar} run=${runner.run} why=${why} operation=${operation} start=${start} cancel=${runner.cancel} />
    </aside>
    ${isOver && html`<div class="drop" aria-hidden="true"><span>${icon("upload")}Drop the picture</span></div>`}
  </div>`;
}

/** Return what a call still needs, in words; null if nothing. */
function whatIsMissing(operation, picture, values) {
  if (!operation.available) return "This server's profile has no model for it.";
  if (operation.pictureIsRequired && !picture) return "Choose a picture first.";
  const missing = operation.fields.find((one) => one.required && !one.inPath && !values[one.name] && values[one.name] !== 0);
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

/** Return the state of the running call, the entries of this session, and how to start, cancel and show them. */
function useRunner(token) {
  const [run, setRun] = useState({ phase: "idle" });
  const [entries, setEntries] = useState([]);
  const [shown, setShown] = useState(null);
  const controller = useRef(null);
  const start = async (operation, call, picture) => {
    const own = (controller.current = new AbortController());
    const started = performance.now();
    setRun({ phase: "running", started });
    try {
      const answer = await perform(call, token, own.signal);
      const results = await Promise.all(linksOf(answer).map((link) => readResult(link, own.signal)));
      const seconds = (performance.now() - started) / 1000;
      const entry = { id: started, title: operation.title, path: operation.path, picture: operation.picture ? picture : null, answer, results, seconds };
      setEntries((all) => [entry, ...all]);
      setShown({ entry, index: 0 });
      setRun({ phase: "idle" });
    } catch (error) {
      if (error.name === "AbortError") return setRun({ phase: "idle" });
      const refusal = error instanceof Refusal ? error : new Refusal(-1, `The page could not read the answer: ${error.message}`);
      const retryAt = refusal.retryS ? performance.now() + refusal.retryS * 1000 : 0;
      setRun({ phase: "failed", refusal, retryAt });
    }
    return undefined;
  };
  const forget = () => setRun((now) => (now.phase === "failed" ? { phase: "idle" } : now));
  return { run, entries, shown, start, forget, show: setShown, cancel: () => controller.current?.abort() };
}

function Stage({ picture, runner, take, fail }) {
  const { shown } = runner;
  if (shown)
    return html`<div class="toolbar">
        <button type="button" class="button" onClick=${() => runner.show(null)}>${icon("undo")}Back to the picture</button>
        <span class="spring"></span><span class="muted">${shown.entry.title}</span>
      </div>
      <${ResultView} key=${shown.entry.id} entry=${shown.entry} index=${shown.index} take=${take} fail=${fail}
        choose=${(index) => runner.show({ ...shown, index })} />`;
  if (!picture) return html`<${EmptyStage} take=${take} fail=${fail} />`;
  return html`<div class="toolbar">
      <${ChooseButton} take=${take} fail=${fail} label="Another picture" />
      <span class="spring"></span><span class="muted">${picture.width} × ${picture.height}</span>
    </div>
    <div class="canvas"><img class="plain checked" src=${picture.url} alt="The picture to edit" /></div>`;
}

render(html`<${App} />`, document.getElementById("app"));
