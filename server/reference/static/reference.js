"use strict";
// Shows openapi.json of the server that this page is from, below the same prefix of a proxy, and calls that server.
(async () => {
  const base = new URL(".", location.href);
  const root = document.getElementById("reference");
  try {
    const answer = await fetch(new URL("openapi.json", base));
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    const spec = await answer.json();
    // The document names where others reach the server; the policy of this page allows its own origin alone.
    spec.servers = [{ url: base.href.replace(/\/$/, "") }];
    window.SwaggerUIBundle({
      spec,
      domNode: root,
      deepLinking: true,
      docExpansion: "list",
      filter: true,
      tagsSorter: "alpha",
      displayRequestDuration: true,
      persistAuthorization: false,
      validatorUrl: null,
    });
  } catch (error) {
    root.textContent = `The reference cannot be shown: ${error.message}`;
    root.className = "notice";
  }
})();
