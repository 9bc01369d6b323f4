// The list of operations, in groups; what the profile lacks is greyed, with its reason.
import { html, icon, useState } from "./html.js";

/** groups: of `readOperations`. version: v1 or v2. */
export function OperationList({ groups, version, path, choose, setVersion }) {
  const [words, setWords] = useState("");
  const matches = (one) => one.version === version && `${one.title} ${one.path}`.toLowerCase().includes(words.trim().toLowerCase());
  const shown = groups.map(([title, list]) => [title, list.filter(matches)]).filter(([, list]) => list.length);
  return html`<div class="nav-inner">
    <div class="segments" role="group" aria-label="Version of the API">
      ${["v1", "v2"].map((one) => html`<button type="button" key=${one} aria-pressed=${one === version} onClick=${() => setVersion(one)}>API ${one}</button>`)}
    </div>
    <label class="search">${icon("search")}<span class="visually-hidden">Search operations</span>
      <input type="search" class="input" placeholder="Search" value=${words} onInput=${(event) => setWords(event.target.value)} /></label>
    ${shown.map(
      ([title, list]) => html`<section key=${title}>
        <h2>${title}</h2>
        <ul>${list.map((one) => html`<li key=${one.path}><${Entry} operation=${one} isCurrent=${one.path === path} choose=${choose} /></li>`)}</ul>
      </section>`,
    )}
    ${shown.length === 0 && html`<p class="muted none">No operation has “${words}” in its name.</p>`}
  </div>`;
}

function Entry({ operation, isCurrent, choose }) {
  return html`<button type="button" class="operation ${operation.available ? "" : "lacking"}" aria-current=${isCurrent ? "true" : undefined}
    title=${operation.reason} onClick=${() => choose(operation.path)}>
    <span>${operation.title}</span>
    ${!operation.available && html`${icon("lock")}<span class="visually-hidden">, not on this server: ${operation.reason}</span>`}
  </button>`;
}
