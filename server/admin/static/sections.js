// The parts of the page: each draws one part of the state, with words where there is nothing or something is wrong.
import { ago, bytes, clock, count, mebibytes, span } from "./format.js";
import { html, icon } from "./html.js";

const STATES = {
  running: ["Running", "A worker of this server does it"],
  waiting: ["Waiting", "This server has it, and no worker is free for it yet"],
  elsewhere: ["On another server", "Another server has it"],
  queued: ["In the queue", "No server has taken it yet"],
};
const WORDS = {
  ready: "Ready",
  starting: "Starting",
  failed: "Not ready",
  unavailable: "Not ready",
  ending: "Shutting down",
};

export const statusWord = (server) => WORDS[server.status] ?? server.status;

/** Whether the server works, and the facts about it. */
export function Overview({ state }) {
  const { server, storage } = state;
  const isReady = server.status === "ready";
  const tone = !isReady ? "bad" : storage.is_disk_full ? "warn" : "good";
  const reason = isReady && storage.is_disk_full ? "its disk is full, so it stores nothing new" : server.reason;
  return html`<section class="overview ${tone}" aria-labelledby="overview-title">
    <div role="status">
      <h1 id="overview-title"><span class="dot" aria-hidden="true"></span>${statusWord(server)}</h1>
      ${reason && html`<p class="reason">${reason[0].toUpperCase() + reason.slice(1).replace(/\.$/, "")}.</p>`}
    </div>
    <dl class="facts">
      <${Fact} name="Up for">${span((Date.parse(state.time) - Date.parse(server.started)) / 1000)}<//>
      <${Fact} name="Profile">${server.profile}<//>
      <${Fact} name="Models run">${server.engine === "ray" ? "on a Ray cluster" : "in this process"}<//>
      <${Fact} name="Version">${server.version}<//>
      ${state.servers.is_shared && html`<${Fact} name="This server"><code>${server.name}</code><//>`}
    </dl>
  </section>`;
}

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

/** The figures to look at first. */
export function Summary({ state }) {
  const { jobs, models, queue, refusals, storage } = state;
  const unfinished = sum(Object.values(jobs.counts));
  const memory = models.memory;
  const refused = sum(refusals.map((one) => one.count));
  return html`<ul class="tiles" aria-label="At a glance">
    <${Tile} name="Running tasks" value=${count(queue.running)}
      more=${`on ${count(queue.workers)} workers; ${queue.waiting ? count(queue.waiting) : "none"} waiting`} />
    <${Tile} name="Unfinished jobs" value=${jobs.age_s === null ? "–" : count(unfinished) + (jobs.is_complete ? "" : " or more")}
      more=${jobs.age_s === null ? "not known" : `${jobs.failed.length || "none"} failed lately`} />
    <${Tile} name="Refused lately" value=${count(refused)} more=${refusals.length ? `the last ${ago(state.time, refusals[0].time)}` : "since the start"} />
    <${Tile} name="Memory of the process" value=${mebibytes(memory.process_mb)} part=${memory.limit_mb && memory.process_mb / memory.limit_mb}
      more=${memory.limit_mb ? `of ${mebibytes(memory.limit_mb)}` : "limit not known"} />
    <${Tile} name=${storage.disk_free_bytes === null ? "Stored" : "Free disk"}
      value=${storage.disk_free_bytes === null ? storedTotal(storage) : bytes(storage.disk_free_bytes)}
      more=${storage.disk_free_bytes === null ? "in a bucket" : `${storedTotal(storage)} stored`} />
  </ul>`;
}

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);
const storedTotal = (storage) => (storage.age_s === null ? "–" : bytes(storage.total_bytes));

/** part: from 0 to 1 how much of a limit it is; none without one. */
const Tile = ({ name, value, more, part }) => html`<li class="tile">
  <span class="tile-name">${name}</span>
  <span class="tile-value">${value}</span>
  <span class="muted small">${more}</span>
  ${Boolean(part) && html`<${Bar} part=${part} />`}
</li>`;

/** A bar that says what the words beside it say; it has no role of its own. */
const Bar = ({ part }) => html`<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
  <rect class="bar-track" width="100" height="4" /><rect class=${part > 0.9 ? "bar-high" : "bar-part"} width=${100 * Math.min(1, part)} height="4" />
</svg>`;

/** A part of the page. of: its state; error and age_s, if it is read from elsewhere. */
function Section({ id, title, note, of = {}, children }) {
  return html`<section class="card" aria-labelledby=${id}>
    <div class="card-head"><h2 id=${id}>${title}</h2>${note && html`<span class="muted small">${note}</span>`}</div>
    ${of.error && html`<p class="notice">${icon("alert")}<span>${of.error} ${
      of.age_s === null ? "Nothing is known yet." : `The figures are ${span(of.age_s)} old.`
    }</span></p>`}
    ${of.age_s === null && of.error ? null : children}
  </section>`;
}

const Empty = ({ children }) => html`<p class="none-here">${children}</p>`;

/**
 * A table whose rows become blocks where it is narrow. columns: [title, class]; rows: {key, cells}.
 * The roles are written out because browsers drop those of tables that are laid out in another way.
 */
function Table({ label, columns, rows }) {
  return html`<div class="table-frame"><table role="table" aria-label=${label}>
    <thead role="rowgroup"><tr role="row">${columns.map(([title, kind]) => html`<th role="columnheader" scope="col" class=${kind}>${title}</th>`)}</tr></thead>
    <tbody role="rowgroup">${rows.map(
      ({ key, cells }) => html`<tr role="row" key=${key}>${cells.map(
        (cell, index) => html`<td role="cell" class=${columns[index][1]} data-label=${columns[index][0]}>${cell}</td>`,
      )}</tr>`,
    )}</tbody>
  </table></div>`;
}

const NUMBER = "number";
const WIDE = "wide";
const NAME = "name-column";
const Organisation = ({ name }) => (name === null ? html`<span class="muted">Unknown token</span>` : html`<span class="name">${name}</span>`);
const Operation = ({ path, otherwise }) => (path === null ? html`<span class="muted">${otherwise}</span>` : html`<code class="route-name">${path}</code>`);
const Code = ({ code }) => html`<span class="code-chip ${code >= 500 ? "severe" : ""}">${code}</span>`;
const Id = ({ id }) => html`<code class="id">${id}</code>`;

export function Jobs({ state }) {
  const { jobs, servers } = state;
  const counts = Object.keys(STATES)
    .filter((name) => jobs.counts[name])
    .map((name) => `${count(jobs.counts[name])} ${STATES[name][0].toLowerCase()}`);
  const all = sum(Object.values(jobs.counts));
  const note = jobs.is_complete ? counts.join(", ") : `of the oldest ${count(all)}: ${counts.join(", ")}`;
  const columns = [["Operation", WIDE], ["Organisation", NAME], ["State"], ["Age", NUMBER]];
  const rows = jobs.unfinished.map((one) => ({
    key: one.request_id,
    cells: [
      html`<${Operation} path=${one.operation} otherwise="Accepted by an earlier version" /><${Id} id=${one.request_id} />`,
      html`<${Organisation} name=${one.organisation} />`,
      html`<span class="state-name ${one.state === "running" ? "is-active" : ""}" title=${STATES[one.state][1]}>${STATES[one.state][0]}</span>
        ${servers.is_shared && one.state === "elsewhere" && html`<code class="id">${one.server}</code>`}`,
      span(one.age_s),
    ],
  }));
  return html`<${Section} id="jobs" title="Unfinished jobs" note=${note} of=${jobs}>
    ${rows.length ? html`<${Table} label="Unfinished jobs, the oldest first" columns=${columns} rows=${rows} />` : html`<${Empty}>Every accepted job is done.<//>`}
    ${all > rows.length && html`<p class="more-rows">The oldest ${rows.length} are shown.</p>`}
  <//>`;
}

export function FailedJobs({ state }) {
  const columns = [["Operation", WIDE], ["Organisation", NAME], ["Error"], ["When", NUMBER]];
  const rows = state.jobs.failed.map((one) => ({
    key: one.request_id,
    cells: [
      html`<${Operation} path=${one.operation} otherwise="Accepted by an earlier version" /><${Id} id=${one.request_id} />`,
      html`<${Organisation} name=${one.organisation} />`,
      html`<${Code} code=${one.code} /> <span>${one.error}</span>`,
      html`<${When} now=${state.time} then=${one.ended ?? one.accepted} />`,
    ],
  }));
  return html`<${Section} id="failed" title="Failed jobs" note="last 24 hours" of=${state.jobs}>
    ${rows.length ? html`<${Table} label="Failed jobs, the newest first" columns=${columns} rows=${rows} />` : html`<${Empty}>No job failed.<//>`}
  <//>`;
}

const When = ({ now, then }) => html`<time dateTime=${then} title=${clock(then)}>${ago(now, then)}</time>`;

export function Refusals({ state }) {
  const columns = [["Request", "route-column"], ["Organisation", NAME], ["Answer"], ["Times", NUMBER], ["Last", NUMBER]];
  const rows = state.refusals.map((one) => ({
    key: JSON.stringify([one.organisation, one.operation, one.code, one.text]),
    cells: [
      html`<${Operation} path=${one.operation} otherwise="No such route" />`,
      html`<${Organisation} name=${one.organisation} />`,
      html`<${Code} code=${one.code} /> <span>${one.text}</span>`,
      count(one.count),
      html`<${When} now=${state.time} then=${one.time} />`,
    ],
  }));
  return html`<${Section} id="refusals" title="Last refusals" note="of this server since its start">
    ${rows.length ? html`<${Table} label="Last refusals, the newest first" columns=${columns} rows=${rows} />` : html`<${Empty}>Nothing was refused.<//>`}
  <//>`;
}

export function Queue({ state }) {
  const { queue, servers } = state;
  const columns = [["Organisation"], ["Running", NUMBER], ["Waiting", NUMBER], ["Jobs waiting", NUMBER]];
  if (servers.is_shared) columns.push(["Elsewhere", NUMBER]);
  const rows = queue.organisations.map((one) => {
    const numbers = [one.running, one.waiting, one.waiting_jobs];
    if (servers.is_shared) numbers.push(one.elsewhere);
    return {
      key: one.organisation,
      cells: [html`<${Organisation} name=${one.organisation} />`, ...numbers.map((number) => (number ? count(number) : html`<span class="muted">0</span>`))],
    };
  });
  return html`<${Section} id="queue" title="Queue" note=${`${queue.workers} workers, room for ${count(queue.max_requests)} requests`}>
    ${rows.length ? html`<${Table} label="Queue by organisation, the longest first" columns=${columns} rows=${rows} />` : html`<${Empty}>Nobody has work here at the moment.<//>`}
    ${queue.organisation_count > rows.length && html`<p class="more-rows">${count(queue.organisation_count - rows.length)} more organisations have less.</p>`}
  <//>`;
}

export function Models({ state }) {
  const { models, memory } = state.models;
  const loaded = models.filter((one) => one.is_loaded).length;
  const isKnown = models.some((one) => one.is_loaded !== null);
  const note = isKnown ? `${loaded} of ${models.length} loaded, ${mebibytes(memory.models_mb ?? 0)}` : "";
  const columns = [["Model"], ["State"], ["Memory", NUMBER]];
  const rows = models.map((one) => ({
    key: one.role,
    cells: [
      html`<span class="name">${one.model}</span><span class="under">${one.role} · ${one.device}</span>`,
      one.is_loaded === null ? html`<span class="muted">On the cluster</span>` : modelState(one),
      mebibytes(one.memory_mb),
    ],
  }));
  return html`<${Section} id="models" title="Models" note=${note}>
    ${rows.length ? html`<${Table} label="Models, those in memory first" columns=${columns} rows=${rows} />` : html`<${Empty}>This engine does not tell its models.<//>`}
    <p class="more-rows">Running requests take about ${mebibytes(memory.requests_mb)}${
      memory.requests_budget_mb === null ? "" : ` of ${mebibytes(memory.requests_budget_mb)}`
    }${memory.models_budget_mb === null ? "" : `; models may take ${mebibytes(memory.models_budget_mb)}`}${
      memory.evicted_budget_mb ? `; evicted models take ${mebibytes(memory.evicted_mb)} of ${mebibytes(memory.evicted_budget_mb)} of main memory` : ""
    }.</p>
  <//>`;
}

function modelState(one) {
  if (one.is_evicted) return html`<span class="muted">In main memory</span>`;
  if (!one.is_loaded) return html`<span class="muted">Not loaded</span>`;
  return one.users ? html`<span class="state-name is-active">In use (${one.users})</span>` : html`<span class="state-name">Loaded</span>`;
}

export function Storage({ state }) {
  const { storage } = state;
  const columns = [["Organisation"], ["Pictures", NUMBER], ["Stored", NUMBER]];
  const rows = storage.organisations.map((one) => ({
    key: one.organisation,
    cells: [
      html`<${Organisation} name=${one.organisation} />`,
      one.visuals ? count(one.visuals) : html`<span class="muted">0</span>`,
      html`${bytes(one.bytes)}${storage.max_bytes && html`<${Bar} part=${one.bytes / storage.max_bytes} />`}`,
    ],
  }));
  return html`<${Section} id="storage" title="Storage" note=${storage.age_s === null ? "" : `${bytes(storage.total_bytes)} in all`} of=${storage}>
    ${!storage.is_counted && html`<p class="more-rows">Results are not counted, because this server takes any token.</p>`}
    ${rows.length ? html`<${Table} label="Storage by organisation, the most first" columns=${columns} rows=${rows} />` : html`<${Empty}>Nothing is stored.<//>`}
    ${storage.organisation_count > rows.length && html`<p class="more-rows">${count(storage.organisation_count - rows.length)} more organisations store less.</p>`}
    <p class="more-rows">${[
      storage.max_bytes && `Each may store ${bytes(storage.max_bytes)}.`,
      storage.disk_error ?? (storage.disk_free_bytes !== null && `The disk has ${bytes(storage.disk_free_bytes)} free; below ${bytes(storage.disk_reserve_bytes)} nothing new is stored.`),
      "Added up once a minute.",
    ].filter(Boolean).join(" ")}</p>
  <//>`;
}

export function Servers({ state }) {
  const { servers } = state;
  if (!servers.is_shared) return null;
  const columns = [["Server"], ["State"], ["Started", NUMBER]];
  const rows = servers.servers.map((one) => ({
    key: one.name,
    cells: [
      html`<code class="route-name">${one.name}</code>`,
      one.is_this ? html`<span class="state-name is-active">This one</span>` : one.is_alive ? html`<span class="state-name">Alive</span>` : html`<span class="muted">Gone</span>`,
      html`<${When} now=${state.time} then=${one.started} />`,
    ],
  }));
  return html`<${Section} id="servers" title="Servers of this database" of=${servers}>
    ${rows.length > 0 && html`<${Table} label="Servers of this database" columns=${columns} rows=${rows} />`}
  <//>`;
}
