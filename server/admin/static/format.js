// Sizes, times and numbers as people read them.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
const MIB = 1024 * 1024;

/** Return a count with its thousands apart. */
export const count = (number) => number.toLocaleString("en");

/** Return a size in bytes with the unit that leaves one to four digits. */
export function bytes(size) {
  let value = size;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

export const mebibytes = (size) => bytes(size * MIB);

/** Return a span of time in its two largest units. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([number]) => number > 0);
  return shown.map(([number, unit]) => `${number} ${unit}`).join(" ");
}

/** Return how long ago a time was. now, then: as the server writes times. */
export function ago(now, then) {
  const seconds = (Date.parse(now) - Date.parse(then)) / 1000;
  return seconds < 1 ? "just now" : `${span(seconds)} ago`;
}

/** Return the time of day where the reader is. */
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");
