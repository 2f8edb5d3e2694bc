// What JSX becomes; the build puts it into every file that needs it. Names of their own: `h` is a good name for other things.
export { h as jsxH, Fragment as JsxFragment } from "preact";
