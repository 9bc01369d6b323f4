// The chosen theme, set before the page is drawn so that it does not flash.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("retouch-theme");
  } catch {
    // Storage may be forbidden; the system's theme is used.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
