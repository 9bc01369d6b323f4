// Removes the background of a picture: node edit.mjs picture.jpg cutout.png. It needs Node 18 or newer.
import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const [source, target] = process.argv.slice(2);
const address = process.env.API_URL ?? "http://127.0.0.1:8000";
const token = { api_token: process.env.API_TOKEN ?? "me" };

/** Sends a request until the server is no longer busy, five minutes at most; returns a successful answer. */
async function send(url, options = {}) {
  const end = Date.now() + 300_000;
  for (let pause = 1; ; pause = Math.min(pause * 2, 30)) {
    const answer = await fetch(url, options).catch((error) => error);
    const isBusy = answer instanceof Error || [429, 503].includes(answer.status);
    const asked = answer instanceof Error ? NaN : Number(answer.headers.get("retry-after") ?? NaN);
    const seconds = Number.isNaN(asked) ? pause : asked;
    if (!isBusy || Date.now() + seconds * 1000 > end) {
      if (answer instanceof Error) throw answer;
      if (answer.ok) return answer;
      const { error } = await answer.json().catch(() => ({}));
      const reason = error?.details ?? error ?? answer.statusText;
      if (answer.status === 460) throw new Error(`The server cannot fetch ${source}: ${reason}`);
      throw new Error(`It failed (${answer.status}): ${reason}`);
    }
    await sleep(seconds * 1000);
  }
}

async function edit() {
  const image = source.startsWith("http") ? source : (await readFile(source)).toString("base64");
  const accepted = await send(`${address}/v2/image/edit/remove_background`, {
    method: "POST",
    // The key: a request that is sent again runs once.
    headers: { ...token, "Content-Type": "application/json", "Idempotency-Key": randomUUID() },
    body: JSON.stringify({ image }),
  });
  const { request_id: id } = await accepted.json();
  const end = Date.now() + 600_000;
  for (;;) {
    const state = await (await send(`${address}/v2/status/${id}`, { headers: token })).json();
    if (state.status === "COMPLETED") {
      const file = await send(state.result.image_url); // without the token
      return writeFile(target, Buffer.from(await file.arrayBuffer()));
    }
    if (state.status !== "IN_PROGRESS") throw new Error(`It failed: ${state.error?.details}`);
    if (Date.now() > end) throw new Error("There is no result after 10 minutes.");
    await sleep(1000);
  }
}

edit().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
