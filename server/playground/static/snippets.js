// The exact call in three languages, to be copied.
import { BASE, OPEN_TOKEN } from "./api.js";
import { html, icon, useState } from "./html.js";

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const python = (text) => JSON.stringify(text);
const address = (call) => new URL(call.path, BASE).href;

/** Return the call as a command of curl. hasToken: the token then comes from the environment. */
export function curl(call, hasToken) {
  const token = hasToken ? `"api_token: $API_TOKEN"` : shell(`api_token: ${OPEN_TOKEN}`);
  const parts = call.parts.map((part) => {
    if (part.blob) return `-F ${shell(`${part.name}=@${part.filename}`)}`;
    if (part.from) return `--form-string "${part.name}=$(base64 < ${shell(part.from)} | tr -d '\\n')"`;
    return `--form-string ${shell(`${part.name}=${part.value}`)}`;
  });
  return [`curl ${shell(address(call))}`, `-H ${token}`, ...parts].join(" \\\n  ");
}

/** Return the call in Python, with the library requests. */
export function pythonCode(call, hasToken) {
  const files = call.parts.filter((part) => part.blob);
  const texts = call.parts.filter((part) => !part.blob);
  const value = (part) => (part.from ? `base64.b64encode(open(${python(part.from)}, "rb").read()).decode()` : python(part.value));
  return [
    ...(texts.some((part) => part.from) ? ["import base64"] : []),
    ...(hasToken ? ["import os"] : []),
    "import requests",
    "",
    "answer = requests.post(",
    `    ${python(address(call))},`,
    `    headers={"api_token": ${hasToken ? `os.environ["API_TOKEN"]` : python(OPEN_TOKEN)}},`,
    // Without a file, requests would not send a form with parts.
    `    files={${[...files.map((part) => `${python(part.name)}: open(${python(part.filename)}, "rb")`), ...texts.map((part) => `${python(part.name)}: (None, ${value(part)})`)].join(", ")}},`,
    ")",
    "print(answer.json())",
  ].join("\n");
}

/** Return the call in JavaScript, for Node.js. */
export function javascript(call, hasToken) {
  const value = (part) => {
    if (part.blob) return `new Blob([await readFile(${python(part.filename)})]), ${python(part.filename)}`;
    return part.from ? `(await readFile(${python(part.from)})).toString("base64")` : python(part.value);
  };
  return [
    ...(call.parts.some((part) => part.blob || part.from) ? [`import { readFile } from "node:fs/promises";`, ""] : []),
    "const body = new FormData();",
    ...call.parts.map((part) => `body.append(${python(part.name)}, ${value(part)});`),
    `const answer = await fetch(${python(address(call))}, {`,
    `  method: "POST",`,
    `  headers: { api_token: ${hasToken ? "process.env.API_TOKEN" : python(OPEN_TOKEN)} },`,
    "  body,",
    "});",
    "console.log(await answer.json());",
  ].join("\n");
}

const LANGUAGES = [
  ["curl", curl],
  ["Python", pythonCode],
  ["JavaScript", javascript],
];

/** Show the call that the button runs; files have the names of those on the page. */
export function Snippets({ call, hasToken }) {
  const [language, setLanguage] = useState("curl");
  const [copied, setCopied] = useState(false);
  const text = LANGUAGES.find(([name]) => name === language)[1](call, hasToken);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    } catch {
      getSelection().selectAllChildren(document.getElementById("call"));
    }
  };
  return html`<details class="more snippets">
    <summary>This call as code</summary>
    <div class="segments" role="group" aria-label="Language">
      ${LANGUAGES.map(([name]) => html`<button type="button" key=${name} aria-pressed=${name === language} onClick=${() => setLanguage(name)}>${name}</button>`)}
    </div>
    <pre class="code" id="call" tabindex="0" aria-label="The call in ${language}">${text}</pre>
    <button type="button" class="button" onClick=${copy}>${icon(copied ? "check" : "copy")}<span role="status">${copied ? "Copied" : "Copy"}</span></button>
  </details>`;
}
