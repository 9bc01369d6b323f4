// The button that runs a call, and its state: time that has passed, cancel, and the countdown after a refusal.
import { html, icon, useEffect, useState } from "./html.js";

/** Return the seconds since or until a moment, once a tenth of a second while it is given. */
function useClock(isOn) {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    if (!isOn) return undefined;
    setNow(performance.now());
    const timer = setInterval(() => setNow(performance.now()), 100);
    return () => clearInterval(timer);
  }, [isOn]);
  return now;
}

/** Return where a call is, in words; empty while that is not known. */
function placeInWords(place) {
  if (!place) return "";
  if (place.state === "running") return "Running";
  if (place.before === null) return "Waiting";
  return place.before === 0 ? "Waiting, next in turn" : `Waiting, ${place.before} before this one`;
}

/** run: {phase: idle, running or failed; started, place, refusal, retryAt}. why: what is missing, or null. */
export function RunBar({ run, why, operation, start, cancel, notice }) {
  const now = useClock(run.phase === "running" || run.retryAt > 0);
  const wait = run.retryAt ? Math.max(0, Math.ceil((run.retryAt - now) / 1000)) : 0;
  if (run.phase === "running") {
    const seconds = Math.max(0, (now - run.started) / 1000);
    const place = placeInWords(run.place);
    const usual = operation.seconds ? ` · usually about ${Math.max(1, Math.round(operation.seconds))} s` : "";
    return html`<div class="run">
      <button type="button" class="button wide" onClick=${cancel}>${icon("stop")}Cancel</button>
      <p class="state"><span class="spinner" aria-hidden="true"></span><span>${seconds.toFixed(1)} s${place && ` · ${place}`}${run.place?.state === "waiting" ? "" : usual}</span></p>
      <p class="visually-hidden" role="status">${place || "Running"}: ${operation.title}</p>
    </div>`;
  }
  return html`<div class="run">
    ${notice}
    <button type="button" class="button primary wide" disabled=${why !== null || wait > 0} onClick=${start}
      aria-describedby="run-state">
      ${wait > 0 ? `Again in ${wait} s` : html`${icon("play")}Run`}
    </button>
    <p class="state" id="run-state">${why ?? html`<span class="shortcut"><kbd>Ctrl</kbd> <kbd>Enter</kbd> runs it too</span>`}</p>
  </div>`;
}

/** A refusal that belongs to no field. */
export function Notice({ refusal, retryAt, askToken }) {
  const title = { 0: "No connection", 401: "A token is needed", 403: "This token may not do that", 429: "Too many requests", 503: "Not available at the moment", 506: "Not possible here" }[refusal.status];
  return html`<div class="notice" role="alert">
    ${icon("alert")}
    <div>
      <strong>${title ?? "The server refused this"}</strong>
      <p>${refusal.message}</p>
      ${[401, 403].includes(refusal.status) && html`<button type="button" class="button" onClick=${askToken}>Change the token</button>`}
      ${retryAt > 0 && html`<p class="muted">The button below counts down until it is worth trying again.</p>`}
    </div>
  </div>`;
}
