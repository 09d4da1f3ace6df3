// Light or dark: as the system says, until somebody chooses.
import { effect, signal } from "../lib/html.js";

const PLACE = "zeroconv.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = signal(system.matches);
export const choice = signal(localStorage.getItem(PLACE)); // "light", "dark" or null

system.addEventListener("change", (event) => (dark.value = event.matches));
export const isDark = () => (choice.value ? choice.value === "dark" : dark.value);
effect(() => (document.documentElement.dataset.theme = isDark() ? "dark" : "light"));

export function switchTheme() {
  const next = isDark() ? "light" : "dark";
  choice.value = next === (dark.value ? "dark" : "light") ? null : next;
  if (choice.value) localStorage.setItem(PLACE, choice.value);
  else localStorage.removeItem(PLACE);
}
