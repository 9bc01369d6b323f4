// The head of the page: its name, the profile of the server, the token, and light or dark.
import { Mark, ThemeButton } from "./brand.js";
import { html, icon } from "./html.js";

/** profile: of the server; absent until it is known. */
export const Header = ({ profile, hasToken, askToken }) => html`<header class="header">
  <span class="brand"><${Mark} /><span>Retouch</span></span>
  ${profile && html`<span class="chip"><span class="visually-hidden">Profile </span>${profile}</span>`}
  <span class="spring"></span>
  <button type="button" class="button quiet" onClick=${askToken}>${icon("key")}<span class="tool-label">${hasToken ? "Token set" : "Token"}</span></button>
  <${ThemeButton} />
</header>`;
