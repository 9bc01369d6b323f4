// The calls of this session: they are forgotten when the page is left.
import { html } from "./html.js";

/** entries: the newest first. shown: the one that the stage shows, or null. */
export function History({ entries, shown, show }) {
  if (entries.length === 0) return null;
  return html`<section class="history" aria-label="History of this session">
    <h2 class="visually-hidden">History of this session</h2>
    <div class="strip">
      ${entries.map((entry) => {
        const picture = entry.results.find((one) => /\.(png|jpe?g|webp)$/i.test(one.name));
        const label = `${entry.title}, ${entry.seconds.toFixed(1)} seconds`;
        return html`<button type="button" key=${entry.id} class="thumb" aria-pressed=${entry === shown} aria-label=${label} title=${label}
          onClick=${() => show({ entry, index: 0 })}>
          ${picture ? html`<img class="checked" src=${picture.url} alt="" />` : html`<span>${entry.results[0]?.name.split(".").pop() ?? "text"}</span>`}
        </button>`;
      })}
    </div>
  </section>`;
}
