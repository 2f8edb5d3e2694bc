// All builds, filtered.
import { plural } from "../format.js";
import { useTitle } from "../use.js";
import { BuildRows, Empty, Filters, Headline, ListState, More, Quiet, Section, useList } from "../parts/index.jsx";

const RESULTS = ["success", "warnings", "failure", "exception", "retry", "cancelled", "skipped"], STATES = ["queued", "dispatched", "running", "finishing", "done"];
export default function Builds({ query }) {
  const { project, builder, branch, revision, result, state, worker, since } = query, filter = { project, builder, branch, revision, result, state, worker, since };
  const list = useList("/builds", { limit: 60, ...filter }, { on: ["build"], by: b => b.id });
  const some = Object.values(filter).some(Boolean);
  useTitle("Builds", "none");
  return (
    <>
      <Headline crumb={<a href="/builders">Builders</a>} facts={list.items && <span>{plural(list.items.length, "build")}{list.next ? " and more" : ""}, newest first</span>}>{some ? "Builds of a filter" : "All builds"}</Headline>
      <Filters path="/builds" query={query} fields={[["builder", "Builder"], ["branch", "Branch"], ["project", "Project"], ["worker", "Worker"], ["revision", "Revision"], ["result", "Result", RESULTS], ["state", "State", STATES]]} />
      <Section title="Builds">
        <ListState list={list} what="The list of builds">{some ? <Quiet>No build fits this filter.</Quiet> : <Empty title="Nothing was built yet">A push to a branch with a builder, or a forced build, would fill this list.</Empty>}</ListState>
        {list.items && list.items.length > 0 && <BuildRows items={list.items} label="Builds" />}
        <More list={list} />
      </Section>
    </>
  );
}
