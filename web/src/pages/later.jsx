// Pages whose records are not kept yet: each says what would fill it.
import { useTitle } from "../use.js";
import { Empty, Headline } from "../parts/index.jsx";

function page(title, sentence, empty, text) {
  return function Page() {
    useTitle(title, "none");
    return <><Headline>{sentence}</Headline><Empty title={empty}>{text}</Empty></>;
  };
}
export const landings = page("Landing", "No branch has a landing queue.", "Nothing is recorded yet",
  <>A gate in <code>master.yaml</code> (<code>gates:</code>) would fill this page: proposed changes in the order in which they land, what holds each, and what has landed.</>);
export const breaks = page("Breaks", "No break is recorded.", "Nothing is recorded yet",
  <>A branch that goes red would open a break here: since when, who is on it, how much of the hour is left, and what it holds. Until then the <a href="/">home page</a> lists what is red.</>);
export const tests = page("Tests", "No test is recorded.", "Nothing is recorded yet",
  <>Reports of steps (<code>reports: {"{junit: \"out/*.xml\"}"}</code>) would fill this page with the last runs of each test and what it costs. The failing tests of one build stand on the page of that build.</>);
