// All branches: what is red first, and what holds the promoted ones.
import { plural } from "../format.js";
import { useTitle } from "../use.js";
import { Empty, Filters, Headline, ListState, More, Quiet, Section, useList } from "../parts/index.jsx";
import { BranchRows, byUrgency } from "./home.jsx";

export default function Branches({ query }) {
  const filter = { project: query.project, state: query.state }, part = (query.q || "").toLowerCase();
  const list = useList("/branches", { limit: 200, ...filter }, { on: ["build", "promotion", "change", "config"], by: b => `${b.project}\n${b.branch}` });
  const all = (list.items || []).filter(b => `${b.project} / ${b.branch}`.toLowerCase().includes(part)), red = all.filter(b => b.state === "red").length, some = filter.project || part || filter.state;
  useTitle(red ? `${red} red branches` : "Branches", red ? "red" : "none");
  return (
    <>
      <Headline crumb="Branches" facts={list.items && <span>{plural(all.length, "branch", "branches")}{list.next ? " and more" : ""}{some ? " of this filter" : ""}</span>}>
        {list.items === undefined ? "Branches" : red ? <><em>{plural(red, "branch is", "branches are")} red.</em></> : all.length ? "No branch is red." : "No branch here."}
      </Headline>
      <Filters path="/branches" query={query} fields={[["q", "Part of a name"], ["project", "Project"], ["state", "State", ["red", "running", "green"]]]} />
      <Section title="All">
        <ListState list={{ ...list, items: list.items && all }} what="The list of branches">{some ? <Quiet>No branch fits this filter.</Quiet>
          : <Empty title="No branch was seen yet">A project in <code>master.yaml</code> names a repository; its branches appear at the first look.</Empty>}</ListState>
        {all.length > 0 && <BranchRows items={byUrgency(all)} />}
        <More list={list} />
      </Section>
    </>
  );
}
