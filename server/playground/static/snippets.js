// The exact call in three languages, to be copied.
import { BASE, OPEN_TOKEN } from "./api.js";
import { html, icon, useState } from "./html.js";

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const quoted = (text) => JSON.stringify(text);
/** Return the address of a call; what the answer to the call before it gives stands in braces. */
const address = ({ path }) => BASE.href + path;
const HOLE = "{visual_id}";
const files = (calls) => calls.flatMap((call) => call.parts).filter((part) => part.blob);
/** Return the calls in their order: a registered picture takes two. */
const callsOf = (call) => (call.register ? [call.register, call] : [call]);
const prefixOf = ({ encoding, blob }) => (encoding === "data" ? `data:${blob.type || "image/jpeg"};base64,` : "");

/** Return a call as a command of curl. A file that is sent as text is made first: it may be too long for a command. */
function curlCommand(call, token) {
  const url = call.path.split(HOLE).map((part, at) => shell((at ? "" : BASE.href) + part)).join('"$visual_id"');
  const parts = call.parts.map(({ name, value, filename, blob, encoding }) => {
    if (encoding) return `-F ${shell(`${name}=<${filename}.txt`)}`;
    if (blob) return `-F ${shell(`${name}=@${filename}`)}`;
    return `${call.method === "GET" ? "--data-urlencode" : "--form-string"} ${shell(`${name}=${value}`)}`;
  });
  if (call.method === "GET" && parts.length > 0) parts.unshift("-G");
  // A form without a field has no body, and curl would send GET.
  if (call.method === "POST" && parts.length === 0) parts.push("-X POST");
  return [`curl ${url}`, `-H ${token}`, ...parts].join(" \\\n  ");
}

function textFile(part) {
  const encoded = `base64 < ${shell(part.filename)} | tr -d '\\n'`;
  const made = shell(`${part.filename}.txt`);
  return part.encoding === "data" ? `printf '%s' ${shell(prefixOf(part))} "$(${encoded})" > ${made}` : `${encoded} > ${made}`;
}

/** Return the call as commands of a shell. hasToken: the token then comes from the environment. */
export function curl(call, hasToken) {
  const token = hasToken ? `"api_token: $API_TOKEN"` : shell(`api_token: ${OPEN_TOKEN}`);
  const texts = new Set(call.parts.filter((part) => part.encoding).map(textFile));
  const edit = [...texts, curlCommand(call, token)].join("\n");
  if (!call.register) return edit;
  const register = curlCommand(call.register, token).replace("curl", "curl -s");
  return `visual_id=$(${register} |\n  sed 's/.*"visual_id":"\\([^"]*\\)".*/\\1/')\n${edit}`;
}

/** Return the value of a part in Python. */
function pythonValue(part) {
  if (!part.encoding) return quoted(part.value);
  const text = `base64.b64encode(open(${quoted(part.filename)}, "rb").read()).decode()`;
  return prefixOf(part) ? `${quoted(prefixOf(part))} + ${text}` : text;
}

function pythonCall(call, name, headers) {
  const isQuery = call.method === "GET";
  const url = (call.path.includes(HOLE) ? "f" : "") + quoted(address(call));
  // Without a file, requests would not send a form with parts. A list, because a name may come twice.
  const part = (one) => {
    if (one.blob && !one.encoding) return `(${quoted(one.name)}, open(${quoted(one.filename)}, "rb"))`;
    return isQuery ? `(${quoted(one.name)}, ${pythonValue(one)})` : `(${quoted(one.name)}, (None, ${pythonValue(one)}))`;
  };
  return [
    `${name} = requests.${call.method.toLowerCase()}(`,
    `    ${url},`,
    `    headers=${headers},`,
    ...(call.parts.length ? [`    ${isQuery ? "params" : "files"}=[`, ...call.parts.map((one) => `        ${part(one)},`), "    ],"] : []),
    ")",
  ];
}

/** Return the call in Python, with the library requests. */
export function pythonCode(call, hasToken) {
  const headers = `{"api_token": ${hasToken ? `os.environ["API_TOKEN"]` : quoted(OPEN_TOKEN)}}`;
  return [
    ...(call.parts.some((part) => part.encoding) ? ["import base64"] : []),
    ...(hasToken ? ["import os"] : []),
    "import requests",
    "",
    ...(call.register ? [...pythonCall(call.register, "registered", headers), `visual_id = registered.json()["visual_id"]`] : []),
    ...pythonCall(call, "answer", headers),
    "print(answer.json())",
  ].join("\n");
}

/** Return the value of a part in JavaScript, with the name of a file. */
function scriptValue(part) {
  if (!part.blob) return quoted(part.value);
  const read = `await readFile(${quoted(part.filename)})`;
  if (!part.encoding) return `new Blob([${read}]), ${quoted(part.filename)}`;
  const text = `(${read}).toString("base64")`;
  return prefixOf(part) ? `${quoted(prefixOf(part))} + ${text}` : text;
}

function scriptCall(call, name, headers) {
  const isQuery = call.method === "GET";
  const fields = isQuery ? "query" : name === "answer" ? "body" : "picture";
  const made = call.parts.length > 0 && [
    `const ${fields} = new ${isQuery ? "URLSearchParams" : "FormData"}();`,
    ...call.parts.map((part) => `${fields}.append(${quoted(part.name)}, ${scriptValue(part)});`),
  ];
  const template = address(call).replaceAll("`", "%60").replace(HOLE, "${visual_id}") + (isQuery && made ? "?${query}" : "");
  return [
    ...(made || []),
    `const ${name} = await fetch(${template === address(call) ? quoted(template) : `\`${template}\``}, {`,
    ...(isQuery ? [] : [`  method: "POST",`]),
    `  headers: ${headers},`,
    ...(isQuery || !made ? [] : [fields === "body" ? "  body," : `  body: ${fields},`]),
    "});",
  ];
}

/** Return the call in JavaScript, for Node.js. */
export function javascript(call, hasToken) {
  const headers = `{ api_token: ${hasToken ? "process.env.API_TOKEN" : quoted(OPEN_TOKEN)} }`;
  return [
    ...(files(callsOf(call)).length > 0 ? [`import { readFile } from "node:fs/promises";`, ""] : []),
    ...(call.register ? [...scriptCall(call.register, "registered", headers), "const { visual_id } = await registered.json();"] : []),
    ...scriptCall(call, "answer", headers),
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
