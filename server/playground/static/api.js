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
  const named = /^([a-z_0-9]+)(?:\.\d+)?\b[: ]/.exec(text);
  const retry = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const field = body?.parameter ?? (named ? named[1] : null);
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

/** Send a call and return its answer; a call without sync waits until its results are there. */
export async function perform(call, token, signal) {
  const body = new FormData();
  for (const part of call.parts) {
    if (part.blob) body.append(part.name, part.blob, part.filename);
    else body.append(part.name, part.value);
  }
  const headers = withToken(token);
  const response = await send(new URL(call.path, BASE), { method: "POST", body, headers, signal });
  const answer = await response.json();
  return answer.status_url ? followStatus(answer.status_url, headers, signal) : answer;
}

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
