// Colours of the log that are no tokens: moved in lightness until they can be read. Pure.

const lum = ([r, g, b]) => {
  const f = v => { const s = v / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
};
export const contrast = (a, b) => {
  const x = lum(a), y = lum(b);
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
};
export const rgb = hex => hex.length === 3 ? [...hex].map(c => parseInt(c, 16) * 17) : [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16));
const text = c => "#" + c.map(v => Math.round(v).toString(16).padStart(2, "0")).join("");

// what text stands on at worst (row under the pointer, tints), and what stands on a ground
const WORST = { light: rgb("eeeae0"), dark: rgb("33251c") };
const INK = { light: rgb("171a1f"), dark: rgb("e6e8eb") };
const LEAST = 4.5;

const toward = (c, to, k) => c.map((v, i) => Math.round(v + (to[i] - v) * k));
// the smallest step toward `to` with which it is far enough from `from`
function move(c, to, from) {
  for (let k = 0; k <= 20; k++) {
    const m = toward(c, to, k / 20);
    if (contrast(m, from) >= LEAST) return m;
  }
  return to;
}
const BLACK = [0, 0, 0], WHITE = [255, 255, 255];
export const textColor = (hex, theme) => text(move(rgb(hex), theme === "light" ? BLACK : WHITE, WORST[theme]));
export const groundColor = (hex, theme) => text(move(rgb(hex), theme === "light" ? WHITE : BLACK, INK[theme]));

// the rule of a class that ansi.js named; null: it is none of these
export function rule(cls) {
  const m = /^([ck])-([0-9a-f]{3})$/.exec(cls);
  if (!m) return null;
  const f = m[1] === "c" ? textColor : groundColor, light = f(m[2], "light"), dark = f(m[2], "dark");
  return m[1] === "c" ? `.lines .${cls}{color:light-dark(${light},${dark})}` : `.lines .${cls}{background:light-dark(${light},${dark});color:var(--ink)}`;
}
