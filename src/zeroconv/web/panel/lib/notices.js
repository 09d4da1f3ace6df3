// What the page has to say: short lines at the bottom, read aloud, that go by themselves unless they are errors.
import { html, signal } from "./html.js";
import { IconButton } from "./icons.js";

const notices = signal([]);
let count = 0;
const STAY = 5000;

export const dismiss = (id) => (notices.value = notices.value.filter((one) => one.id !== id));

export function tell(text, { level = "info", hint = null, action = null } = {}) {
  if (notices.value.some((one) => one.text === text)) return;
  const id = ++count;
  notices.value = [...notices.value.slice(-2), { id, text, level, hint, action }];
  if (level !== "error") setTimeout(() => dismiss(id), action ? 2 * STAY : STAY);
}

export function tellError(error) {
  if (error?.name === "AbortError") return;
  const wait = error.wait ? `try again in ${error.wait} s` : null;
  const field = error.field && !error.message.startsWith(error.field) ? `${error.field}: ` : "";
  tell(field + error.message, { level: "error", hint: error.hint ?? wait });
}

// runs what a click asked for; what goes wrong is said
export const attempt = (task) => async (...given) => {
  try {
    return await task(...given);
  } catch (error) {
    tellError(error);
    return undefined;
  }
};

export const Notices = () => html`<div class="notices" role="status" aria-live="polite">
  ${notices.value.map((one) => html`<div key=${one.id} class=${`notice ${one.level}`}><p>${one.text}${one.hint && html`: <small>${one.hint}</small>`}</p>
    ${one.action && html`<button type="button" class="link" onClick=${() => (one.action.run(), dismiss(one.id))}>${one.action.title}</button>`}
    <${IconButton} icon="close" label="Dismiss" onClick=${() => dismiss(one.id)} /></div>`)}
</div>`;
