// Every request to the server: the token, refusals in words, and results by their links.

/** The folder that the page is in, so that it also works below a path of a proxy. */
export const BASE = new URL(".", location.href);
const TOKEN_KEY = "retouch-token";
const POLL_MS = 1000;
/** A server without tokens takes any; this one is also in the README. */
export const OPEN_TOKEN = "me";

export const storedToken = () => sessionStorage.getItem(TOKEN_KEY) ?? "";
export const storeToken = (token) =>
  token ? sessionStorage.setItem(TOKEN_KEY, token) : sessionStorage.removeItem(TOKEN_KEY);

/** An answer that is not a result. field: the name of the wrong field, or null. retryS: when to try again. */
export class Refusal extends Error {
  constructor(status, text, field = null, retryS = null) {
    super(text);
    Object.assign(this, { status, field, retryS });
  }
}

async function refusalOf(response) {
  const body = await response.json().catch(() => null);
  const text = body?.error?.message ?? body?.message ?? `The server answered ${response.status}.`;
  const named = /^([a-z_0-9]+)(?:\.\w+)*\b[: ]/.exec(text);
  const retry = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const field = body?.parameter?.split(".")[0] ?? (named ? named[1] : null);
  return new Refusal(response.status, text, field, Number.isNaN(retry) ? null : retry);
}

async function send(address, options = {}) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The server does not answer. Is it running, and is the network there?");
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

const withToken = (token) => ({ api_token: token || OPEN_TOKEN });

/** Return the JSON at a path of this server. */
export async function getJson(path, token) {
  const headers = token ? { api_token: token } : {};
  return (await send(new URL(path, BASE), { headers })).json();
}

/**
 * Send a call and return {answer, visualId}; a call without sync waits until its results are there.
 * queueId: by which `askPlace` may ask for its place meanwhile. visualId: of a registered picture.
 */
export async function perform(call, token, signal, queueId = newQueueId()) {
  const headers = withToken(token);
  let { path } = call;
  if (call.register) {
    const { visual_id: found } = await (await request(call.register.path, call.register, { headers, signal })).json();
    path = path.replace("{visual_id}", found);
  }
  const response = await request(path, call, { headers: { ...headers, "Queue-Id": queueId }, signal });
  const answer = await response.json();
  return {
    answer: answer.status_url ? await followStatus(answer.status_url, headers, signal) : answer,
    visualId: /^v1\/(\w+)\//.exec(path)?.[1],
  };
}

async function request(path, { method, parts }, options) {
  const address = new URL(path, BASE);
  if (method === "GET") {
    for (const { name, value } of parts) address.searchParams.append(name, value);
    return send(address, options);
  }
  const body = new FormData();
  for (const part of parts) {
    if (part.encoding) body.append(part.name, await encode(part));
    else if (part.blob) body.append(part.name, part.blob, part.filename);
    else body.append(part.name, part.value);
  }
  return send(address, { ...options, method, body });
}

/** Return a file as text: a data: address, or only its base64. */
function encode({ blob, encoding }) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(encoding === "data" ? reader.result : reader.result.split(",")[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Return an id for one call that nobody else has. (`randomUUID` needs https.) */
export const newQueueId = () => [...crypto.getRandomValues(new Uint32Array(4))].map((one) => one.toString(16).padStart(8, "0")).join("");

/** Return {state, before} of a call that is in work; null where the server does not know it. */
export const askPlace = (queueId, token) => getJson(`queue/${queueId}`, token || OPEN_TOKEN).catch(() => null);

async function followStatus(address, headers, signal) {
  for (;;) {
    const path = new URL(address).pathname.replace(/^.*(?=\/v2\/status\/)/, "").slice(1);
    const answer = await (await send(new URL(path, BASE), { headers, signal })).json();
    if (answer.status === "ERROR") throw new Refusal(answer.error?.code ?? 500, answer.error?.message ?? "");
    if (answer.status === "COMPLETED") return answer;
    await pause(POLL_MS, signal);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("stopped", "AbortError"));
    if (signal?.aborted) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    return setTimeout(resolve, milliseconds);
  });
}

/** Return every address in an answer, in its order. */
export function linksOf(answer) {
  if (typeof answer === "string") return /^https?:\/\/\S+$/.test(answer) ? [answer] : [];
  if (answer === null || typeof answer !== "object") return [];
  return Object.values(answer).flatMap(linksOf);
}

/** Return where to read a result: at this page's own address if the server keeps it, else at the store's. */
function reachable(link) {
  const address = new URL(link);
  const own = /\/(results\/.*)$/.exec(address.pathname);
  const isOwn = own && address.searchParams.has("signature") && address.searchParams.has("expires");
  return isOwn ? new URL(own[1] + address.search, BASE) : address;
}

/** Return a result: its address, its name, and its bytes, unless a bucket lets no script read them. */
export async function readResult(link, signal) {
  const address = reachable(link);
  const name = decodeURIComponent(address.pathname.split("/").pop());
  for (;;) {
    try {
      const blob = await (await send(address, { signal, referrerPolicy: "no-referrer" })).blob();
      if (blob.size === 0) throw new Refusal(422, "Content moderation has withheld this result.");
      return { name, blob, url: URL.createObjectURL(blob), link };
    } catch (error) {
      if (error.status === 0 && address.origin !== BASE.origin) return { name, blob: null, url: address.href, link };
      if (error.status !== 404) throw error;
      await pause(POLL_MS, signal); // a job of sync=false that is not done
    }
  }
}
