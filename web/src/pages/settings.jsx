// What the browser keeps, who one is, tokens.
import { useState } from "preact/hooks";
import { del, post } from "../api.js";
import { exact } from "../format.js";
import { can, kept, me, useData, useTitle } from "../use.js";
import { setTheme } from "../frame.jsx";
import { AskButton, Dialog, Empty, Headline, Quiet, Section, Tag, Time, Trouble, Waiting } from "../parts/index.jsx";

export default function Settings() {
  const who = me.use();
  useTitle("Settings", "none");
  return (
    <>
      <Headline crumb="Settings">{who.actor ? `You are ${who.actor}.` : "You are not logged in."}</Headline>
      <div class="stack">
        <Section title="You">
          {who.actor ? <><dl class="kv"><dt>Rights</dt><dd>{who.scopes.join(", ") || "none"}</dd><dt>By</dt><dd>{{ session: "a session of this browser", proxy: "the proxy before this master", token: "a token" }[who.how] || who.how}</dd></dl>
            {who.how === "session" && <form method="post" action="/logout" class="pad"><input type="hidden" name="csrf" value={who.csrf} /><button class="btn">Log out</button></form>}</>
            : <Quiet>What is open to all can be read. <a href="/login">Log in</a> with a token to force, retry, cancel, pause or promote.</Quiet>}
        </Section>
        <Section title="This browser"><Choices /></Section>
        <Section title="Tokens"><Tokens who={who} /></Section>
      </div>
    </>
  );
}
function Choices() {
  const [theme, set] = useState(kept("theme") || ""), [keys, setKeys] = useState(kept("keys") !== "off");
  const pick = t => { set(t); setTheme(t); };
  return (
    <div class="pad choices">
      <fieldset><legend>Theme</legend>{[["", "as the system"], ["light", "light"], ["dark", "dark"]].map(([v, t]) => <label key={v}><input type="radio" name="theme" checked={theme === v} onChange={() => pick(v)} /> {t}</label>)}</fieldset>
      <label><input type="checkbox" checked={keys} onChange={e => { setKeys(e.target.checked); kept("keys", e.target.checked ? null : "off"); }} /> Keys of the page (<kbd>?</kbd> lists them)</label>
    </div>
  );
}
const SCOPES = ["read", "build", "land", "operate", "admin"];
function Tokens({ who }) {
  const may = can(who, "admin"), list = useData(may ? "/tokens?limit=200" : null), [open, setOpen] = useState(false);
  if (!may) return <Quiet>Tokens are seen and made by those with the right admin.</Quiet>;
  return (
    <>
      <p class="pad"><button class="btn" onClick={() => setOpen(true)}>Make a token</button></p>
      <Waiting of={list} what="The list of tokens" rows={3} />
      {list.error && list.data && <Trouble error={list.error} what="The list of tokens" again={list.reload} />}
      {list.data && !list.data.items.length && <Empty title="No token was made">Each program that writes gets one of its own, with the rights that it needs.</Empty>}
      {list.data && list.data.items.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Table of tokens"><table><thead><tr><th>Token</th><th>Rights</th><th>Person</th><th>Used</th><th>Expires</th><th><span class="vh">Actions</span></th></tr></thead><tbody>
        {list.data.items.map(t => <tr key={t.id}><td><b>{t.name}</b> {t.state !== "live" && <Tag>{t.state}</Tag>}<br /><small>made by {t.creator || "–"} <Time at={t.created} suffix=" ago" /></small></td><td>{t.scopes.join(", ")}</td><td>{t.person || "–"}</td><td>{t.used ? <Time at={t.used} suffix=" ago" /> : "never"}</td><td title={exact(t.expires)}>{t.expires ? exact(t.expires).slice(0, 11) : "never"}</td>
          <td class="right">{!t.revoked && <AskButton small label="Revoke" scope="admin" run={async reason => { const a = await del(`/tokens/${t.id}`, { reason }); list.reload(); return a; }} done={`${t.name} is revoked.`} confirm={{ title: `Revoke ${t.name}`, text: "Whoever has it is refused from now on. It cannot be undone.", verb: `Revoke ${t.name}`, reason: true }} />}</td></tr>)}
      </tbody></table></div>}
      {open && <NewToken onClose={() => { setOpen(false); list.reload(); }} />}
    </>
  );
}
function NewToken({ onClose }) {
  const [name, setName] = useState(""), [scopes, setScopes] = useState(["read"]), [made, setMade] = useState(null), [error, setError] = useState(null);
  const make = async () => {
    setError(null);
    try { setMade((await post("/tokens", { name, scopes })).data); } catch (e) { setError(e.message); }
  };
  return (
    <Dialog title={made ? `The token ${made.name}` : "Make a token"} verb={made ? "Done" : "Make it"} onClose={onClose} onDo={() => made ? onClose() : make()} wide text={made && "It is shown here and nowhere else."}>
      {made ? <p class="pad"><code class="quote copy" tabIndex={0}>{made.token}</code></p> : <>
        <label class="field"><span>Name: who uses it</span><input value={name} required maxLength={100} pattern="[A-Za-z0-9._+=,@\-]+" title="letters, digits and . _ + = , @ -" onInput={e => setName(e.target.value)} /></label>
        <fieldset class="field"><legend>Rights</legend>{SCOPES.map(s => <label key={s}><input type="checkbox" checked={scopes.includes(s)} onChange={e => setScopes(e.target.checked ? [...scopes, s] : scopes.filter(x => x !== s))} /> {s}</label>)}</fieldset></>}
      {error && <p class="refused" role="alert">{error}</p>}
    </Dialog>
  );
}
