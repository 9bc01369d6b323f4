// The page: what it knows, and how its parts stand together.
import { getJson, storedToken, storeToken } from "./api.js";
import { Header } from "./header.js";
import { html, icon, render, useEffect, useState } from "./html.js";
import { readOperations } from "./operations.js";
import { TokenDialog } from "./token.js";
import { Workplace } from "./workplace.js";

/** Return what the server can do, once it is known: {phase: loading, ready, token or error; ...}. */
function useServer(token, attempt) {
  const [server, setServer] = useState({ phase: "loading" });
  useEffect(() => {
    setServer((before) => (before.phase === "ready" ? before : { phase: "loading" }));
    Promise.all([getJson("openapi.json"), getJson("capabilities", token)]).then(
      ([document, capabilities]) =>
        setServer(
          capabilities.needs_token && token === ""
            ? { phase: "token", refusal: { message: "This server takes requests only with a token of your organisation." } }
            : { phase: "ready", groups: readOperations(document, capabilities), profile: capabilities.profile },
        ),
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

render(html`<${App} />`, document.getElementById("app"));
