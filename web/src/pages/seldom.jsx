// What is seldom looked at first, in one file (main.jsx asks for it).
export { default as promotions } from "./promotions.jsx";
export { default as schedulers } from "./schedulers.jsx";
export { default as notices } from "./notices.jsx";
export { default as audit } from "./audit.jsx";
export { default as settings } from "./settings.jsx";
