// Times of lines: off, since the step began, or the clock. Pure.
export const MODES = ["off", "elapsed", "clock"];
export const nextMode = m => MODES[(MODES.indexOf(m) + 1) % MODES.length];
const two = n => String(n).padStart(2, "0");

export function shown(mode, time, began) {
  if (mode === "off" || !time) return "";
  const t = Date.parse(time);
  if (isNaN(t)) return "";
  if (mode === "clock") {
    const d = new Date(t);
    return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  }
  const s = Math.max(0, Math.floor((t - began) / 1000)), h = Math.floor(s / 3600);
  return h ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${two(Math.floor(s / 60))}:${two(s % 60)}`;
}
