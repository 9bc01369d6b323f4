// A result beside its input: the slider, the other results of the call, download, and use as input.
import "./vendored/img-comparison-slider/index.js";
import { html, icon, useEffect, useState } from "./html.js";
import { readPicture } from "./picker.js";

const isPicture = (result) => /\.(png|jpe?g|webp)$/i.test(result.name);

/** Show one result of an entry of the history. */
export function ResultView({ entry, index, choose, take, fail }) {
  const result = entry.results[index];
  return html`<section class="result" aria-label="Result">
    <div class="canvas">
      ${result ? html`<${Shown} entry=${entry} result=${result} />` : html`<pre class="answer" tabindex="0">${JSON.stringify(entry.answer, null, 2)}</pre>`}
    </div>
    ${entry.results.length > 1 && html`<${Strip} results=${entry.results} index=${index} choose=${choose} />`}
    ${result && html`<${Actions} entry=${entry} result=${result} take=${take} fail=${fail} />`}
  </section>`;
}

function Shown({ entry, result }) {
  const [size, setSize] = useState(null);
  useEffect(() => setSize(null), [result]);
  if (!isPicture(result))
    return html`<div class="file-card">${icon("file")}<strong>${result.name}</strong>
      <span>${result.blob ? bytes(result.blob.size) : ""}</span></div>`;
  const loaded = (event) => setSize([event.target.naturalWidth, event.target.naturalHeight]);
  if (!entry.picture)
    return html`<img class="plain checked" src=${result.url} alt="The result" onLoad=${loaded} />`;
  const [width, height] = size ?? [entry.picture.width, entry.picture.height];
  const same = Math.abs(width / height - entry.picture.width / entry.picture.height) < 0.02;
  return same
    ? html`<${Slider} key=${result.url} before=${entry.picture} result=${result} loaded=${loaded} width=${width} height=${height} />`
    : html`<${SideBySide} before=${entry.picture} result=${result} loaded=${loaded} />`;
}

function Slider({ before, result, loaded, width, height }) {
  return html`<div class="slider-frame" style=${{ "--ratio": width / height }}>
    <img-comparison-slider class="checked rendered" tabindex="0" aria-label="Before and after: move with the arrow keys" hover="false">
      <img slot="first" src=${before.url} alt="Before" />
      <img slot="second" class="checked" src=${result.url} alt="After" onLoad=${loaded} />
    </img-comparison-slider>
    <span class="tag left" aria-hidden="true">Before</span><span class="tag right" aria-hidden="true">After</span>
  </div>`;
}

function SideBySide({ before, result, loaded }) {
  return html`<div class="pair">
    <figure><img src=${before.url} alt="Before" /><figcaption>Before · ${before.width} × ${before.height}</figcaption></figure>
    <figure><img class="checked" src=${result.url} alt="After" onLoad=${loaded} /><figcaption>After</figcaption></figure>
  </div>`;
}

function Strip({ results, index, choose }) {
  return html`<div class="strip" role="group" aria-label="Results">
    ${results.map(
      (one, place) => html`<button type="button" key=${one.url} class="thumb" aria-pressed=${place === index}
        onClick=${() => choose(place)}>
        ${isPicture(one) ? html`<img class="checked" src=${one.url} alt="Result ${place + 1}" />` : one.name}
      </button>`,
    )}
  </div>`;
}

function Actions({ entry, result, take, fail }) {
  // With its sid, later edits of the registered picture start from this result.
  const use = () => readPicture(result.blob, result.name).then((picture) => take({ ...picture, visual: entry.visual }), fail);
  return html`<div class="actions">
    <span class="muted">${result.blob ? `${bytes(result.blob.size)} · ` : ""}${entry.seconds.toFixed(1)} s</span>
    <span class="spring"></span>
    ${isPicture(result) && result.blob && html`<button type="button" class="button" onClick=${use}>${icon("swap")}Use as input</button>`}
    <a class="button primary" href=${result.url} download=${result.name} target=${result.blob ? undefined : "_blank"}
      rel="noopener">${icon("download")}Download</a>
  </div>`;
}

const bytes = (count) => (count < 1e6 ? `${Math.ceil(count / 1000)} kB` : `${(count / 1e6).toFixed(1)} MB`);
