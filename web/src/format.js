// Numbers, times and names as people read them. Pure.

// 850 ms, 9.4 s, 47 s, 2 m 47 s, 1 h 4 m, 3 d
export function duration(ms) {
  if (ms == null || !isFinite(ms)) return "";
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${s % 60} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86400)} d`;
}

// as duration, but one unit and no fractions: for what is estimated or counts down
export function roughly(ms) {
  if (ms == null || !isFinite(ms)) return "";
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

export function size(bytes) {
  if (bytes == null) return "";
  const units = ["B", "K", "M", "G", "T"];
  let n = bytes, i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1024; i++; }
  return i === 0 ? `${n} B` : `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

export function count(n) {
  return n == null ? "" : String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

// "1 branch is", "2 branches are"
export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many || one + "s"}`;
}

export function rev7(r) {
  return r ? r.slice(0, 7) : "";
}

// "Ada Lovelace <ada@example.org>" -> "Ada Lovelace"
export function person(author) {
  if (!author) return "";
  return author.replace(/\s*<[^>]*>\s*$/, "") || author.replace(/[<>]/g, "");
}

const two = n => String(n).padStart(2, "0");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// relative up to 24 hours, then a date; both in the reader's zone
export function ago(t, now = Date.now()) {
  if (!t) return "";
  const at = typeof t === "number" ? t : Date.parse(t), ms = now - at;
  if (isNaN(at)) return "";
  if (ms < 5000) return ms > -60000 ? "now" : when(at, now);
  if (ms < 60000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 3600000) return `${Math.floor(ms / 60000)} min`;
  if (ms < 86400000) return `${Math.floor(ms / 3600000)} h`;
  return day(at, now);
}

export function day(t, now = Date.now()) {
  const d = new Date(t);
  const short = `${d.getDate()} ${months[d.getMonth()]}`;
  return d.getFullYear() === new Date(now).getFullYear() ? short : `${short} ${d.getFullYear()}`;
}

// a point in time near now: 11:33, or 20 Nov 11:33
export function when(t, now = Date.now()) {
  if (!t) return "";
  const d = new Date(t), n = new Date(now), hm = `${two(d.getHours())}:${two(d.getMinutes())}`;
  return d.toDateString() === n.toDateString() ? hm : `${day(d, now)} ${hm}`;
}

export function zone(t = Date.now()) {
  const off = -new Date(t).getTimezoneOffset();
  return `UTC${off < 0 ? "-" : "+"}${two(Math.floor(Math.abs(off) / 60))}:${two(Math.abs(off) % 60)}`;
}

// 20 Nov 2026 11:33:40 UTC+01:00
export function exact(t) {
  if (!t) return "";
  const d = new Date(t);
  if (isNaN(d)) return "";
  return `${d.getDate()} ${months[d.getMonth()]} ${d.getFullYear()} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())} ${zone(d)}`;
}

// "a, b and 47 more"
export function some(words, most = 3) {
  return words.length <= most ? list(words) : `${words.slice(0, most - 1).join(", ")} and ${words.length - most + 1} more`;
}

// "a, b and c"
export function list(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}
