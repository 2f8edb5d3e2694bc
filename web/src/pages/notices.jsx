// Messages that leave the master: what waits, what was given up.
import { post } from "../api.js";
import { plural } from "../format.js";
import { can, me, useTitle } from "../use.js";
import { AskButton, Empty, Filters, Headline, ListState, More, Quiet, Rows, Section, StateIcon, Time, useList } from "../parts/index.jsx";

const STATE = { waiting: "waiting", under_way: "running", sent: "success", given_up: "exception", dropped: "cancelled" };
export default function Notices({ query }) {
  const may = can(me.use(), "operate"), list = useList(may ? "/outbox" : null, { state: query.state, target: query.target, limit: 60 }, { by: m => m.id });
  const all = list.items || [], bad = all.filter(m => m.state === "given_up").length;
  useTitle("Notices", bad ? "red" : "none");
  const act = (m, what) => async () => { const a = await post(`/outbox/${m.id}/${what}`, {}); list.reload(); return a; };
  return (
    <>
      <Headline crumb="Notices">{list.items === undefined ? "Notices" : bad ? <em>{plural(bad, "message was", "messages were")} given up.</em> : all.length ? "No message was given up." : "No message."}</Headline>
      <Filters path="/notices" query={query} fields={[["target", "Target"], ["state", "State", ["waiting", "under_way", "sent", "given_up"]]]} />
      <Section title="Messages">
        {!may && <Quiet>They are seen by those with the right operate.</Quiet>}
        {may && <ListState list={list} what="The messages"><Empty title="Nothing was sent"><code>notify:</code> in <code>master.yaml</code> says whom to tell of what; each message stands here with its tries.</Empty></ListState>}
        {all.length > 0 && <Rows items={all} by={m => m.id} cls="messages" what="message" label="Messages">
          {m => <li key={m.id}><StateIcon state={STATE[m.state] || "unknown"} text={m.state.replace("_", " ")} /><span class="cut"><b>{m.target}</b></span><span class="msg"><span class="cut" title={m.reason || m.key}>{m.reason || m.key}</span></span><span class="w1 dim">{plural(m.tries, "try", "tries")}</span><span class="right dim nowrap"><Time at={m.finished || m.created} /></span>
            <span class="acts">{m.state === "given_up" && <AskButton small label="Send again" scope="operate" run={act(m, "retry")} done="It is sent again." />}{(m.state === "waiting" || m.state === "given_up") && <AskButton small label="Drop" scope="operate" run={act(m, "drop")} done="It is dropped." />}</span></li>}
        </Rows>}
        <More list={list} />
      </Section>
    </>
  );
}
