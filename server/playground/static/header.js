// The head of the page: its name, the profile of the server, the token, and light or dark.
import { html, icon, useState } from "./html.js";

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

/** profile: of the server; absent until it is known. */
export function Header({ profile, hasToken, askToken }) {
  const [dark, setDark] = useState(isDark);
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
  return html`<header class="header">
    <span class="brand"><${Mark} /><span>Retouch</span></span>
    ${profile && html`<span class="chip"><span class="visually-hidden">Profile </span>${profile}</span>`}
    <span class="spring"></span>
    <button type="button" class="button quiet" onClick=${askToken}>${icon("key")}<span class="tool-label">${hasToken ? "Token set" : "Token"}</span></button>
    <button type="button" class="button quiet square" aria-label=${dark ? "Light colours" : "Dark colours"} title=${dark ? "Light colours" : "Dark colours"}
      onClick=${toggle}>${icon(dark ? "sun" : "moon")}</button>
  </header>`;
}

const Mark = () => html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <rect width="32" height="32" rx="8" /><path class="line" d="M16 6v20" />
  <path class="full" d="M13 10a6.500 6.500 0 0 0 0 12z" /><path class="line" d="M19 10a6.500 6.500 0 0 1 0 12z" />
</svg>`;
