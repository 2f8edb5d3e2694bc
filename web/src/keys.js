// Keys of the whole page. Pure: says what a key means; who listens is keyboard.jsx.
const GO = { h: "/", b: "/branches", c: "/changes", u: "/builders", q: "/requests", l: "/landings", w: "/workers", t: "/tests", s: "/settings" };
export const KEYS = [
  ["/", "search, or find in the log"], ["j k", "next and previous row"], ["Enter", "open the row"], ["f F", "next and previous failure line"],
  ["n N", "next and previous find"], ["t w", "times, wrap"], ["e", "end of the log, follow"], ["r", "retry what failed"],
  ["g h", "home; then b branches, c changes, u builders, q queue, w workers, t tests, s settings"], ["?", "this list"],
];

// state: {g: time of a "g"}; returns [what, argument, state]
export function meaning(key, state, now) {
  if (state.g && now - state.g < 1200) return GO[key] ? ["go", GO[key], {}] : [null, null, {}];
  if (key === "g") return [null, null, { g: now }];
  const what = { "/": "search", "?": "help", j: "next", k: "previous", r: "retry" }[key];
  return [what || null, null, {}];
}
