import { Headline } from "../parts/index.jsx";
export default function Page() { return <Headline>Soon</Headline>; }
