// The dialog that asks for a token, which is kept until the tab is closed.
import { html, icon, useEffect, useRef, useState } from "./html.js";

/** why: what the server said, or null. save: gets the token. */
export function TokenDialog({ why, token, save, close }) {
  const dialog = useRef();
  const [text, setText] = useState(token);
  useEffect(() => dialog.current.showModal(), []);
  const submit = (event) => {
    event.preventDefault();
    save(text.trim());
  };
  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="token-title" onClose=${close}>
    <form onSubmit=${submit}>
      <h2 id="token-title">${icon("key")}Token</h2>
      <p>${why ?? "This server takes requests with a token. Without one in its settings it takes any."}</p>
      <label class="label" for="token">Token of your organisation</label>
      <input id="token" class="input" type="password" autocomplete="off" spellcheck="false" value=${text}
        aria-describedby="token-help" onInput=${(event) => setText(event.target.value)} />
      <p class="help" id="token-help">It stays in this tab and is forgotten when you close it. It is sent to this server only.</p>
      <div class="actions">
        <span class="spring"></span>
        <button type="button" class="button" onClick=${() => dialog.current.close()}>Cancel</button>
        <button type="submit" class="button primary">Use it</button>
      </div>
    </form>
  </dialog>`;
}
