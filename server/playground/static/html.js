// What every component draws with: preact's functions, and the icons.
export {
  html,
  render,
  useState,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useCallback,
} from "./vendored/htm/standalone.js";
import { html } from "./vendored/htm/standalone.js";

const PATHS = {
  upload: "M12 15V4m0 0L8 8m4-4 4 4M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3",
  download: "M12 4v11m0 0 4-4m-4 4-4-4M4 16v2a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2m0 16v2M4.9 4.9l1.4 1.4m11.4 11.4 1.4 1.4M2 12h2m16 0h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z",
  key: "M14.5 3a6.5 6.5 0 1 0 4.6 11.1A6.5 6.5 0 0 0 14.5 3Zm-4.6 11.1L3 21v-3h3v-3h3M16 8h.01",
  brush: "M14 6l4 4M5 19c0-3 1-5 3-6l8.5-8.5a2 2 0 0 1 3 3L11 16c-1 2-3 3-6 3Z",
  eraser: "m7 20-4-4a1.5 1.5 0 0 1 0-2L13.500 3.500a1.500 1.500 0 0 1 2 0L20 8a1.500 1.500 0 0 1 0 2L10 20Zm0 0h13M8.500 8.500l6.500 6.500",
  up: "M12 19V5m0 0-6 6m6-6 6 6",
  down: "M12 5v14m0 0 6-6m-6 6-6-6",
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  back: "M19 12H5m0 0 6-6m-6 6 6 6",
  invert: "M12 3a9 9 0 1 0 0 18V3Zm0 0a9 9 0 0 1 0 18",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  wand: "m4 20 11-11M14 4v3m0 4v3m-5-5h3m4 0h3",
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "m5 12 5 5 9-10",
  play: "M7 4v16l13-8z",
  stop: "M6 6h12v12H6z",
  swap: "M4 8h14l-4-4m6 12H6l4 4",
  alert: "M12 3 2 20h20L12 3Zm0 7v4m0 3h.01",
  lock: "M6 11h12v9H6zm2 0V8a4 4 0 0 1 8 0v3",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 5 5",
  image: "M4 5h16v14H4zm0 11 5-5 4 4 3-3 4 4M9 9h.01",
  file: "M6 3h8l4 4v14H6zm8 0v4h4",
};

/** Return an icon that assistive technology skips; the control beside it has the words. */
export const icon = (name) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
  <path d=${PATHS[name]} />
</svg>`;
