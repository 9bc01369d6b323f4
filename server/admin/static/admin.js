// The page of the operator: reads the state of the server every few seconds and draws it.
import { Mark, ThemeButton } from "./brand.js";
import { clock } from "./format.js";
import { html, icon, render, useEffect, useState } from "./html.js";
import { FailedJobs, Jobs, Models, Overview, Queue, Refusals, Servers, statusWord, Storage, Summary } from "./sections.js";

const POLL_MS = 5000;
const TIMEOUT_MS = 15000;
/** The address of the state, relative to the page, so that it also works below a path of a proxy. */
const ADDRESS = new URL("admin/state", new URL(".", location.href));
// No script may send what a reader has put before the host; the browser has it already.
ADDRESS.username = ADDRESS.password = "";

/** Return the state, or throw an Error whose message is for the reader. */
async function readState() {
  let response;
  try {
    response = await fetch(ADDRESS, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (response.ok) return response.json();
  const body = await response.json().catch(() => null);
  throw new Error(body?.message ?? `The server answered with ${response.status}.`);
}

/** Read the state again and again while the page is seen and not paused. Return the last one, and why there is no newer. */
function useServerState(isPaused) {
  const [known, setKnown] = useState({ state: null, error: null });
  useEffect(() => {
    let timer = null;
    let isOver = isPaused;
    let isReading = false;
    const poll = async () => {
      clearTimeout(timer);
      if (isOver || isReading || document.hidden) return;
      isReading = true;
      const answer = await readState().then(
        (state) => ({ state, error: null }),
        (error) => ({ error: error.message }),
      );
      isReading = false;
      if (isOver) return;
      setKnown((before) => ({ ...before, ...answer }));
      timer = setTimeout(poll, POLL_MS);
    };
    poll();
    document.addEventListener("visibilitychange", poll);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", poll);
    };
  }, [isPaused]);
  return known;
}

function Admin() {
  const [isPaused, setPaused] = useState(false);
  const { state, error } = useServerState(isPaused);
  useEffect(() => {
    document.title = `${error ? "No answer" : state ? statusWord(state.server) : "…"} · Retouch administration`;
  }, [state, error]);
  return html`<${Head} state=${state} isPaused=${isPaused} toggle=${() => setPaused(!isPaused)} />
    <main class="page">
      ${error && html`<p class="notice" role="alert">${icon("alert")}<span>${error} ${
        state ? `Shown is the state of ${clock(state.time)}.` : ""
      }</span></p>`}
      ${state ? html`<${Parts} state=${state} />` : !error && html`<div class="waiting"><span class="spinner"></span><p>Reading the state of the server</p></div>`}
    </main>`;
}

const Parts = ({ state }) => html`<${Overview} state=${state} /><${Summary} state=${state} />
  <div class="columns">
    <div class="column"><${Jobs} state=${state} /><${FailedJobs} state=${state} /><${Refusals} state=${state} /></div>
    <div class="column"><${Queue} state=${state} /><${Servers} state=${state} /><${Models} state=${state} /><${Storage} state=${state} /></div>
  </div>`;

function Head({ state, isPaused, toggle }) {
  return html`<header class="header">
    <span class="brand"><${Mark} /><span>Retouch</span></span>
    <span class="chip">Administration</span>
    <span class="spring"></span>
    ${state && html`<span class="muted small updated">${isPaused ? "Paused at" : "As of"} <time dateTime=${state.time}>${clock(state.time)}</time></span>`}
    <button type="button" class="button quiet" onClick=${toggle}>${icon(isPaused ? "play" : "stop")}<span class="tool-label">${isPaused ? "Resume" : "Pause"}</span></button>
    <${ThemeButton} />
  </header>`;
}

render(html`<${Admin} />`, document.getElementById("admin"));
