// The console: how each commit fares, over all branches.
import { plural } from "../format.js";
import { rowState } from "../line.js";
import { isRed } from "../state.js";
import { useTitle } from "../use.js";
import { Empty, Filters, Headline, ListState, More, Quiet, Section, useList } from "../parts/index.jsx";
import { columns, Commits } from "./commits.jsx";

export default function Changes({ query }) {
  const filter = { project: query.project, branch: query.branch };
  const list = useList("/console", { limit: 60, ...filter }, { on: ["build", "change", "promotion"], by: c => c.id });
  const all = list.items || [], red = all.filter(c => isRed(rowState(c))).length;
  useTitle("Changes", "none");
  return (
    <>
      <Headline crumb="Changes">{list.items === undefined ? "Changes" : !all.length ? "No change was seen." : red ? <><em>{red} of the last {all.length} commits {red === 1 ? "is" : "are"} red.</em></> : `The last ${plural(all.length, "commit")} ${all.length === 1 ? "is" : "are"} not red.`}</Headline>
      <Filters path="/changes" query={query} fields={[["project", "Project"], ["branch", "Branch"]]} />
      <Section title="Commits">
        <ListState list={list} what="The list of changes">{filter.project || filter.branch ? <Quiet>No change fits this filter.</Quiet>
          : <Empty title="No change was seen yet">A push to a branch of a project that <code>master.yaml</code> names appears here at the next look.</Empty>}</ListState>
        {all.length > 0 && <Commits items={all} builders={columns(all)} place />}
        <More list={list} />
      </Section>
    </>
  );
}
