// Why something waits: its sentence, with what it names linked.
import { parts } from "../cause.js";
import { to } from "../router.js";

export function Why({ why, reason }) {
  const text = reason || (why && why.reason);
  return <>{parts(text).map((p, i) => typeof p === "string" ? p : <a key={i} href={p.kind === "build" ? to.build(p.id) : to.request(p.id)}>{p.text}</a>)}</>;
}
