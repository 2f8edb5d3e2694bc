// Who did what.
import { exact } from "../format.js";
import { can, me, useTitle } from "../use.js";
import { Empty, Filters, Headline, ListState, More, Quiet, Section, Time, useList } from "../parts/index.jsx";

export default function Audit({ query }) {
  const may = can(me.use(), "admin"), list = useList(may ? "/audit" : null, { actor: query.actor, since: query.since, limit: 100 }, { on: ["config", "switch"], by: d => d.id });
  useTitle("Audit", "none");
  return (
    <>
      <Headline crumb="Audit" facts={list.items && list.items[0] && <span>Newest <b>{exact(list.items[0].at)}</b></span>}>Who did what</Headline>
      <Filters path="/audit" query={query} fields={[["actor", "Actor"]]} />
      <Section title="Deeds">
        {!may && <Quiet>It is seen by those with the right admin.</Quiet>}
        {may && <ListState list={list} what="The audit log"><Empty title="Nobody did anything here">Each write by a person or a token stands here, with its actor.</Empty></ListState>}
        {list.items && list.items.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Table of deeds"><table><thead><tr><th>When</th><th>Who</th><th>What</th><th>On</th><th>Words</th></tr></thead><tbody>
          {list.items.map(d => <tr key={d.id}><td class="nowrap"><Time at={d.at} suffix=" ago" /></td><td><b>{d.actor}</b></td><td><code>{d.action}</code></td><td class="breaks">{d.object}</td><td class="breaks">{d.text}</td></tr>)}</tbody></table></div>}
        <More list={list} />
      </Section>
    </>
  );
}
