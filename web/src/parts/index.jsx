export * from "./basic.jsx";
export * from "./rows.jsx";
export * from "./toast.jsx";
export * from "./ask.jsx";
export * from "./strip.jsx";
export * from "./list.jsx";
