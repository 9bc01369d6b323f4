// What the heads of the pages have in common: the mark, and the choice of light or dark colours.
import { html, icon, useState } from "./html.js";

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

/** The button that changes between light and dark; the choice is kept for all pages. */
export function ThemeButton() {
  const [dark, setDark] = useState(isDark);
  const label = dark ? "Light colours" : "Dark colours";
  const toggle = () => {
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("retouch-theme", theme);
    } catch {
      // Storage may be forbidden; the theme then lasts until the page is closed.
    }
    setDark(!dark);
  };
  return html`<button type="button" class="button quiet square" aria-label=${label} title=${label} onClick=${toggle}>${icon(dark ? "sun" : "moon")}</button>`;
}

export const Mark = () => html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <rect width="32" height="32" rx="8" /><path class="line" d="M16 6v20" />
  <path class="full" d="M13 10a6.500 6.500 0 0 0 0 12z" /><path class="line" d="M19 10a6.500 6.500 0 0 1 0 12z" />
</svg>`;
