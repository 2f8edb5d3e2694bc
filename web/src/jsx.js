// What JSX becomes; the build puts it into every file that needs it.
export { h, Fragment } from "preact";
